#pragma once

#include <cstdint>
#include <string>

namespace fovea {

/// A file of NumPy's format, version 1.0, with a header of this text.
inline std::string npy_of_header(std::string header, const std::string& numbers) {
  while ((header.size() + 11) % 64 != 0) header += ' ';
  header += '\n';
  return std::string("\x93NUMPY\x01\x00", 8) + static_cast<char>(header.size() & 0xff) +
         static_cast<char>(header.size() >> 8) + header + numbers;
}

/// An array as numpy.save writes it. `shape`: "(2, 3)"
inline std::string npy(const std::string& type, const std::string& shape, const std::string& numbers,
                       bool is_fortran = false) {
  return npy_of_header("{'descr': '" + type + "', 'fortran_order': " + (is_fortran ? "True" : "False") +
                           ", 'shape': " + shape + ", }",
                       numbers);
}

/// `count` images of H x W pixels, each of another colour.
inline std::string npy_images(int count, int H, int W) {
  std::string numbers;
  for (int n = 0; n < count; ++n)
    numbers += std::string(static_cast<size_t>(3 * H * W), static_cast<char>(10 * n));
  return npy("|u1",
             "(" + std::to_string(count) + ", " + std::to_string(H) + ", " + std::to_string(W) + ", 3)",
             numbers);
}

/// Labels as numpy has whole numbers: i64, the lowest byte first.
inline std::string npy_labels(const std::string& digits) {
  std::string numbers;
  for (const char digit : digits) numbers += static_cast<char>(digit - '0') + std::string(7, '\0');
  return npy("<i8", "(" + std::to_string(digits.size()) + ",)", numbers);
}

}  // namespace fovea
