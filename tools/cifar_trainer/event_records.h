#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace fovea::cli {

/// The records of a TensorBoard event file (the format of TFRecord): the length as u64, its checksum, the
/// bytes, their checksum; little-endian. A checksum is a CRC-32C that is turned and shifted, see masked_crc.
uint32_t masked_crc(std::string_view bytes);
std::string event_record(std::string_view bytes);
/// The contents of the records of a file, up to the first that is torn or damaged; they point into `file`.
std::vector<std::string_view> read_event_records(std::string_view file);

}  // namespace fovea::cli
