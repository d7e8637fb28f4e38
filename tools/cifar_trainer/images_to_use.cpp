#include "images_to_use.h"

#include "fovea/core/check.h"
#include "image_file.h"
#include "setup.h"
#include "signals.h"

namespace fovea::cli {
namespace {

// Images of one size from PNG and JPEG files: u8 [N, H, W, 3].
Tensor read_images(const std::string& command, const std::vector<std::string>& paths, int64_t size) {
  const auto N = static_cast<int64_t>(paths.size());
  Tensor images = Tensor::empty({N, size, size, 3}, Dtype::u8);
  for (int64_t n = 0; n < N; ++n) {
    const std::string& path = paths[static_cast<size_t>(n)];
    const Tensor image = read_image(path);  // [H, W, 3]
    check<DataError>(image.shape() == Shape{size, size, 3}, command, ": ", path, " has ", image.shape(1), "x",
                     image.shape(0), " pixels, wanted ", size, "x", size, "; resize it first");
    images.slice(n * image.size(), image.shape()).copy_from(image);
    throw_if_stopped("reading images");
  }
  return images;
}

}  // namespace

ImagesToUse load_images_to_use(const Settings& settings, const Arguments& arguments) {
  if (!arguments.names.empty()) {
    const int64_t size = model_input_size(settings.model, model_options(settings));
    return {read_images(arguments.command, arguments.names, size), arguments.names};
  }
  ImagesToUse result{load_split(settings, arguments).images, {}};
  for (int64_t n = 0; n < result.images.shape(0); ++n) result.names.push_back(std::to_string(n));
  return result;
}

}  // namespace fovea::cli
