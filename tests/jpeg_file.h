#pragma once

#include <string>

namespace fovea {

/// A grey JPEG file with as little in it as there can be, and what may be wrong with it. Every block of 8x8
/// pixels is two bits of a channel: no difference from the one before, no frequencies.
struct JpegOf {
  int width = 16, height = 8, channels = 1;
  int process = 0xc0;  // 0xc0 baseline, 0xc2 progressive, 0xc3 lossless, 0xc9 arithmetic
  int precision = 8;   // bits
  int adobe = -1;      // colour transform of Adobe's marker: 0 RGB or CMYK, 2 YCCK; -1: no marker
  std::string exif{};  // after "Exif\0\0"; "": no marker
  int scans = 1;
  bool has_end = true;
};

/// A marker, with the length of what follows.
inline std::string jpeg_marker(int marker, const std::string& contents) {
  const size_t length = contents.size() + 2;
  return std::string("\xff") + static_cast<char>(marker) + static_cast<char>(length >> 8) +
         static_cast<char>(length) + contents;
}

inline std::string jpeg(const JpegOf& image) {
  const auto byte = [](int value) { return std::string(1, static_cast<char>(value)); };
  const auto word = [&](int value) { return byte(value >> 8) + byte(value); };
  std::string file = "\xff\xd8";
  if (!image.exif.empty()) file += jpeg_marker(0xe1, std::string("Exif\0\0", 6) + image.exif);
  if (image.adobe >= 0)
    file += jpeg_marker(0xee, "Adobe" + word(100) + word(0) + word(0) + byte(image.adobe));
  file += jpeg_marker(0xdb, byte(0) + std::string(64, '\1'));  // quantisation by 1
  std::string channels, selectors;
  for (int c = 1; c <= image.channels; ++c) {
    channels += byte(c) + byte(0x11) + byte(0);
    selectors += byte(c) + byte(0);
  }
  file += jpeg_marker(image.process, byte(image.precision) + word(image.height) + word(image.width) +
                                         byte(image.channels) + channels);
  const std::string one_code = byte(1) + std::string(15, '\0') + byte(0);  // the bit 0: nothing
  file += jpeg_marker(0xc4, byte(0x00) + one_code) + jpeg_marker(0xc4, byte(0x10) + one_code);
  const int blocks = (image.width + 7) / 8 * ((image.height + 7) / 8) * image.channels;
  const int bits = blocks * (image.process == 0xc2 ? 1 : 2);  // progressive: only the mean
  std::string data(static_cast<size_t>(bits / 8), '\0');
  if (bits % 8 != 0) data += byte(0xff >> bits % 8);
  const std::string frequencies = byte(0) + byte(image.process == 0xc2 ? 0 : 63) + byte(0);
  for (int scan = 0; scan < image.scans; ++scan)
    file += jpeg_marker(0xda, byte(image.channels) + selectors + frequencies) + data;
  return image.has_end ? file + "\xff\xd9" : file;
}

/// EXIF of one tag, 0x0112, in the order of bytes of Intel's processors or of Motorola's.
inline std::string exif_of(int orientation, bool is_intel = true, int type = 3) {
  const std::string value(1, static_cast<char>(orientation));
  const std::string null(1, '\0');
  if (is_intel) {
    return std::string("II*\0\x08\0\0\0\1\0\x12\1", 12) + static_cast<char>(type) +
           std::string("\0\1\0\0\0", 5) + value + std::string(7, '\0');
  }
  return std::string("MM\0*\0\0\0\x08\0\1\1\x12\0", 13) + static_cast<char>(type) +
         std::string("\0\0\0\1\0", 5) + value + std::string(6, '\0');
}

}  // namespace fovea
