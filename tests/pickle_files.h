#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// Pickles as Python 2's cPickle writes them in protocol 2, of which CIFAR's are.
namespace fovea::test {

inline std::string little_endian(uint64_t number, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += static_cast<char>(number >> (8 * i));
  return text;
}

inline std::string pickled(std::string_view text) {
  return (text.size() < 256 ? "U" + little_endian(text.size(), 1) : "T" + little_endian(text.size(), 4)) +
         std::string(text);
}

inline std::string pickled(int64_t number) {
  if (number >= 0 && number < 256) return "K" + little_endian(static_cast<uint64_t>(number), 1);
  if (number >= 0 && number < 65536) return "M" + little_endian(static_cast<uint64_t>(number), 2);
  return "J" + little_endian(static_cast<uint64_t>(number), 4);
}

/// In batches of a thousand, with a place in the memo.
template <class Value>
std::string pickled(const std::vector<Value>& values) {
  std::string text = "]q\x05";
  for (size_t begin = 0; begin < values.size(); begin += 1000) {
    text += "(";
    for (size_t i = begin; i < std::min(begin + 1000, values.size()); ++i) text += pickled(values[i]);
    text += "e";
  }
  return text;
}

/// A NumPy array of bytes, [rows, columns], in C's order or, with `by_columns`, in Fortran's.
inline std::string pickled_array(int64_t rows, int64_t columns, std::string_view bytes,
                                 bool by_columns = false) {
  const std::string zero = pickled(int64_t{0}), one = pickled(int64_t{1}), minus_one = pickled(int64_t{-1});
  const std::string dtype = "cnumpy\ndtype\nq\x04" + pickled("u1") + zero + one + "\x87Rq\x06(" +
                            pickled(int64_t{3}) + pickled("|") + "NNN" + minus_one + minus_one + zero + "tb";
  return "cnumpy.core.multiarray\n_reconstruct\nq\x01" + std::string("cnumpy\nndarray\nq\x02") + zero +
         "\x85" + pickled("b") + "\x87Rq\x03(" + one + pickled(rows) + pickled(columns) + "\x86" + dtype +
         (by_columns ? "\x88" : "\x89") + pickled(bytes) + "tb";
}

/// A dictionary of texts and what was pickled.
inline std::string pickle_of(const std::vector<std::pair<std::string, std::string>>& entries) {
  std::string text = "\x80\x02}q\x07(";
  for (const auto& [key, value] : entries) text += pickled(std::string_view(key)) + value;
  return text + "u.";
}

}  // namespace fovea::test
