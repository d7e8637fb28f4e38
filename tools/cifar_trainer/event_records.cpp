#include "event_records.h"

#include <boost/crc.hpp>

namespace fovea::cli {
namespace {

template <class Number>
std::string little_endian(Number number) {
  std::string bytes;
  for (size_t i = 0; i < sizeof(Number); ++i) bytes += static_cast<char>(number >> (8 * i) & 0xff);
  return bytes;
}

template <class Number>
Number read_little_endian(std::string_view bytes) {
  Number number = 0;
  for (size_t i = 0; i < sizeof(Number); ++i)
    number |= static_cast<Number>(static_cast<unsigned char>(bytes[i])) << (8 * i);
  return number;
}

constexpr size_t kLength = sizeof(uint64_t), kCrc = sizeof(uint32_t);

}  // namespace

uint32_t masked_crc(std::string_view bytes) {
  boost::crc_optimal<32, 0x1EDC6F41, 0xFFFFFFFF, 0xFFFFFFFF, true, true> crc;  // Castagnoli's
  crc.process_bytes(bytes.data(), bytes.size());
  const auto sum = static_cast<uint32_t>(crc.checksum());
  return (sum >> 15 | sum << 17) + 0xa282ead8u;
}

std::string event_record(std::string_view bytes) {
  const std::string length = little_endian<uint64_t>(bytes.size());
  return length + little_endian(masked_crc(length)) + std::string(bytes) + little_endian(masked_crc(bytes));
}

std::vector<std::string_view> read_event_records(std::string_view file) {
  std::vector<std::string_view> records;
  while (file.size() >= kLength + 2 * kCrc) {
    const std::string_view length = file.substr(0, kLength);
    if (read_little_endian<uint32_t>(file.substr(kLength)) != masked_crc(length)) break;
    const auto size = read_little_endian<uint64_t>(length);
    if (size > file.size() - kLength - 2 * kCrc) break;
    const std::string_view bytes = file.substr(kLength + kCrc, size);
    if (read_little_endian<uint32_t>(file.substr(kLength + kCrc + size)) != masked_crc(bytes)) break;
    records.push_back(bytes);
    file.remove_prefix(kLength + 2 * kCrc + size);
  }
  return records;
}

}  // namespace fovea::cli
