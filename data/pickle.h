#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace fovea {

/// A value out of a Python pickle. Views are of the pickle's own bytes.
struct PickleValue {
  enum class Kind { none, boolean, integer, text, tuple, list, dictionary, function, dtype, array };

  Kind kind = Kind::none;
  int64_t number = 0;                      // of a boolean or integer; of an array: whether it goes by columns
  std::string_view text;                   // of a text or function; of an array: its bytes
  std::vector<const PickleValue*> values;  // of a tuple or list; keys and values of a dictionary; of an
                                           // array: its extents
  int64_t size() const { return static_cast<int64_t>(values.size()); }
  /// The value of a dictionary's key; null if there is none.
  const PickleValue* find(std::string_view key) const;
};

/// Pickles as the Python versions of CIFAR-10 and CIFAR-100 are: dictionaries, lists, numbers and texts in
/// protocol 2, and NumPy arrays of bytes, which are put together here. No function is called: what asks for
/// another than NumPy's for arrays is a DataError, as is every other opcode.
/// https://github.com/python/cpython/blob/main/Lib/pickletools.py
class Pickle {
 public:
  /// DataError begins with `name`, and has `path` and the byte offset, what was found, what was wanted, and
  /// `advice`. The bytes must live as long as the pickle.
  Pickle(std::span<const std::byte> bytes, const std::string& name, const std::string& path,
         const std::string& advice);
  Pickle(const Pickle&) = delete;
  Pickle& operator=(const Pickle&) = delete;

  const PickleValue& value() const { return *value_; }

 private:
  friend class PickleReader;
  std::deque<PickleValue> values_;  // all of them: lists may hold each other, and themselves
  const PickleValue* value_ = nullptr;
};

}  // namespace fovea
