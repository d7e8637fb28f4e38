#include <algorithm>
#include <limits>

#include "attention_pictures.h"
#include "fovea/core/check.h"
#include "image_file.h"
#include "report_page.h"

namespace fovea::cli {
namespace {

constexpr int64_t kMistakes = 24, kMaskImages = 6;

std::string png_of(const ImageSet& set, int64_t n) {
  const Shape& shape = set.images.shape();
  const int64_t H = shape[1], W = shape[2];
  return png_bytes(set.images.slice(n * H * W * 3, {H, W, 3}));
}

MaskColumn column_of(const AttentionMaps& maps) {
  const Tensor mean = mean_mask(maps);
  const int64_t N = mean.shape(0), H = mean.shape(1), W = mean.shape(2);
  const auto all = mean.span<float>();
  const auto [least, greatest] = std::minmax_element(all.begin(), all.end());
  MaskColumn column{maps.path, *least, *greatest, W, {}};
  for (int64_t n = 0; n < N; ++n) {
    Picture picture(H, W);
    picture.draw_map(0, 0, H, W, all.subspan(static_cast<size_t>(n * H * W), static_cast<size_t>(H * W)), H,
                     W, column.least, column.greatest);
    column.pngs.push_back(png_bytes(picture.pixels()));
  }
  return column;
}

/// None for a network without attention modules.
std::vector<AttentionMaps> maps_of(const Classifier& classifier, const ImageSet& images) {
  try {
    return classifier.attention_maps(images.images);
  } catch (const UsageError&) {
    return {};
  }
}

}  // namespace

ReportPictures report_pictures(const Classifier& classifier, const ImageSet& test,
                               const TestPredictions& predictions) {
  ReportPictures pictures;
  for (const int64_t n : predictions.mistakes(kMistakes)) {
    const auto i = static_cast<size_t>(n);
    pictures.mistakes.push_back(
        {png_of(test, n), n, predictions.labels[i], predictions.classes[i], predictions.probabilities[i]});
  }
  pictures.image_side = test.images.shape(2);
  const ImageSet shown = test.first(std::min(kMaskImages, test.size()));
  for (const AttentionMaps& maps : maps_of(classifier, shown)) pictures.masks.push_back(column_of(maps));
  if (pictures.masks.empty()) return pictures;
  for (int64_t n = 0; n < shown.size(); ++n) {
    pictures.mask_images.push_back(png_of(shown, n));
    pictures.mask_labels.push_back(shown.labels.data<int32_t>()[n]);
  }
  return pictures;
}

}  // namespace fovea::cli
