#pragma once

#include <string>
#include <vector>

#include "command_line.h"
#include "fovea/core/tensor.h"

namespace fovea::cli {

/// The images that predict and attend look at.
struct ImagesToUse {
  Tensor images;                   // u8 [N, H, W, 3]
  std::vector<std::string> names;  // of files, or numbers in the split of a dataset
};

/// UsageError where the command line names files and, with --dataset, --data or --split, a dataset too.
void check_names(const Arguments& arguments);

/// Those that the command line names, or, without any, of the dataset: --split. --limit: the first of them.
/// A name is that of a PNG or JPEG file, of a folder of them, or - for one on standard input; what has
/// another size than the network's images is resized and cropped, and that is said. DataError for what is no
/// image, UsageError for more than `most`.
ImagesToUse load_images_to_use(const Settings& settings, const Arguments& arguments,
                               int64_t most = int64_t{1} << 40);

}  // namespace fovea::cli
