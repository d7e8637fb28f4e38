#pragma once

#include <string>
#include <vector>

#include "fovea/data/image_set.h"
#include "fovea/training/classifier.h"
#include "run_record.h"

namespace fovea::cli {

/// An image that was taken for something else.
struct MistakePicture {
  std::string png;
  int64_t image = 0;  // of the test set
  int64_t label = 0, taken_for = 0;
  double probability = 0;
};

/// The masks of an attention module: the mean over the channels, of some images.
struct MaskColumn {
  std::string module;
  double least = 0, greatest = 0;  // of all images: the ends of the colours
  int64_t side = 0;                // pixels of a mask
  std::vector<std::string> pngs;
};

/// What a report shows of a test set.
struct ReportPictures {
  std::vector<MistakePicture> mistakes;
  std::vector<std::string> mask_images;  // PNG: those whose masks are shown, the first of the set
  std::vector<int64_t> mask_labels;
  int64_t image_side = 0;
  std::vector<MaskColumn> masks;  // empty for a network without attention
};

/// Pictures of the surest mistakes and of the masks of a few images, by a network in f32.
ReportPictures report_pictures(const Classifier& classifier, const ImageSet& test,
                               const TestPredictions& predictions);

/// One run as a page of HTML that needs no other file: key figures, curves, classes, mistakes, masks, epochs,
/// settings, machine. `pictures`: nullptr for none.
std::string report_page(const RunRecord& run, const ReportPictures* pictures);

/// Several runs over each other: curves, results, and the settings that differ.
std::string comparison_page(const std::vector<RunRecord>& runs);

}  // namespace fovea::cli
