#pragma once

#include <string>

#include "fovea/core/tensor.h"

namespace fovea::cli {

/// The file that NumPy's `load` reads as the same array: its format, version 1.0. f32 of any shape.
std::string npy_bytes(const Tensor& array);

/// Writes `bytes` to a file, or to standard output if `path` is empty. Error that names `command` and the
/// file where that fails.
void write_bytes(const std::string& command, const std::string& path, const std::string& bytes);

}  // namespace fovea::cli
