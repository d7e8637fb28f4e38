#pragma once

#include <string>
#include <vector>

#include "command_line.h"
#include "fovea/core/tensor.h"

namespace fovea::cli {

/// The images that predict and attend look at.
struct ImagesToUse {
  Tensor images;                   // u8 [N, H, W, 3]
  std::vector<std::string> names;  // of files, or numbers in the dataset
};

/// Those of the files that the command line names, or, without any, of the dataset: --split, the first
/// --limit of them. DataError for a file that has another size than the network's images.
ImagesToUse load_images_to_use(const Settings& settings, const Arguments& arguments);

}  // namespace fovea::cli
