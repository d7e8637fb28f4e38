#pragma once

#include <string>
#include <vector>

#include "fovea/core/tensor.h"

namespace fovea::cli {

/// A name that stands for an image on standard input.
constexpr const char* kStandardInput = "-";

/// The files that a command line names: each folder gives way to the PNG and JPEG files that are directly in
/// it, by name. A file counts as one by its first bytes or the end of its name, whatever it is; hidden ones
/// do not. How many others there were, and how many could not be read, is said in a line. DataError for a
/// folder without any, UsageError for an empty name or standard input twice.
std::vector<std::string> named_files(const std::string& command, const std::vector<std::string>& names);

/// Their images, at the size of the network's: u8 [N, size, size, 3]. One file after another, so that only
/// one is in memory as it was. In a line it is said which were resized or cropped. DataError names a file
/// that is no image.
Tensor read_named_images(const std::string& command, const std::vector<std::string>& files, int64_t size);

}  // namespace fovea::cli
