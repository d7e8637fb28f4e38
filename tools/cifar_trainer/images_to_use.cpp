#include "images_to_use.h"

#include <utility>

#include "fovea/core/check.h"
#include "named_images.h"
#include "setup.h"

namespace fovea::cli {
namespace {

void check_number(const std::string& command, int64_t images, int64_t most) {
  check<UsageError>(images <= most, command, ": ", images, " images, wanted at most ", most,
                    " at once; --limit ", most, " takes the first of them");
}

}  // namespace

void check_names(const Arguments& arguments) {
  if (arguments.names.empty()) return;
  std::string flag = arguments.is_split_named ? "--split" : "";
  for (const auto& [key, value] : arguments.settings) {
    if (key == "dataset" || key == "data") flag = "--" + key;
  }
  check<UsageError>(flag.empty(), arguments.command, ": ", arguments.names[0], " is named, and with ", flag,
                    " a dataset, wanted one of the two: leave out ", flag, ", or the files");
}

ImagesToUse load_images_to_use(const Settings& settings, const Arguments& arguments, int64_t most) {
  const std::string& command = arguments.command;
  if (!arguments.names.empty()) {
    std::vector<std::string> files = named_files(command, arguments.names);
    const auto limit = static_cast<size_t>(arguments.limit.value_or(0));
    if (limit > 0 && files.size() > limit) files.resize(limit);
    check_number(command, std::ssize(files), most);
    const int64_t size = image_size(settings);
    Tensor images = read_named_images(command, files, size);
    return {std::move(images), std::move(files)};
  }
  ImageSet set = load_split(settings, arguments);
  ImagesToUse result{std::move(set.images), std::move(set.files)};
  check_number(command, result.images.shape(0), most);
  if (!result.names.empty()) return result;
  for (int64_t n = 0; n < result.images.shape(0); ++n) result.names.push_back(std::to_string(n));
  return result;
}

}  // namespace fovea::cli
