#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "fovea/core/dtype.h"
#include "fovea/core/shape.h"

namespace fovea {

/// One tensor of a safetensors file: its bytes are [begin, end) of those after the header.
struct SafetensorsEntry {
  std::string name;
  Dtype dtype = Dtype::f32;
  Shape shape;
  uint64_t begin = 0, end = 0;
  std::string other_dtype{};  // not "": one that the format has and Fovea does not, such as BOOL
};

/// The JSON part of a safetensors file.
struct SafetensorsHeader {
  std::vector<SafetensorsEntry> entries;  // in the order of their bytes
  std::map<std::string, std::string> metadata;
};

/// Reads the header. CheckpointError unless the entries cover the `data_bytes` bytes exactly, each once.
SafetensorsHeader parse_safetensors_header(std::string_view text, uint64_t data_bytes,
                                           const std::string& where);

/// The text of a header, padded so that the tensors begin at a multiple of 8 bytes. CheckpointError for what
/// parse_safetensors_header would refuse.
std::string safetensors_header_text(const SafetensorsHeader& header, const std::string& where);

}  // namespace fovea
