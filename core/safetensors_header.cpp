#include "fovea/core/safetensors_header.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <tuple>
#include <utility>

#include "fovea/core/check.h"
#include "fovea/core/json_reader.h"
#include "fovea/core/printable.h"

namespace fovea {
namespace {

using Json = nlohmann::json;

constexpr uint64_t kTextOffset = 8;  // of the header in a file
constexpr const char* kMetadata = "__metadata__";
constexpr std::array<std::pair<Dtype, const char*>, 7> kDtypeNames{{{Dtype::f32, "F32"},
                                                                    {Dtype::f64, "F64"},
                                                                    {Dtype::bf16, "BF16"},
                                                                    {Dtype::f16, "F16"},
                                                                    {Dtype::u8, "U8"},
                                                                    {Dtype::i32, "I32"},
                                                                    {Dtype::i64, "I64"}}};

// Those that Fovea has no numbers for, and the bits of an element.
constexpr std::array<std::pair<const char*, uint64_t>, 15> kOtherDtypes{{{"BOOL", 8},
                                                                         {"I8", 8},
                                                                         {"I16", 16},
                                                                         {"U16", 16},
                                                                         {"U32", 32},
                                                                         {"U64", 64},
                                                                         {"F4", 4},
                                                                         {"F6_E2M3", 6},
                                                                         {"F6_E3M2", 6},
                                                                         {"F8_E4M3", 8},
                                                                         {"F8_E4M3FNUZ", 8},
                                                                         {"F8_E5M2", 8},
                                                                         {"F8_E5M2FNUZ", 8},
                                                                         {"F8_E8M0", 8},
                                                                         {"C64", 64}}};

auto find_other(const std::string& name) {
  return std::find_if(kOtherDtypes.begin(), kOtherDtypes.end(),
                      [&](const auto& candidate) { return candidate.first == name; });
}

/// How many bytes its shape and dtype want; the largest number where its bits end inside a byte.
uint64_t wanted_bytes(const SafetensorsEntry& entry) {
  const auto elements = static_cast<uint64_t>(entry.shape.size());
  if (entry.other_dtype.empty()) return elements * size_of(entry.dtype);
  const uint64_t bits = elements * find_other(entry.other_dtype)->second;
  return bits % 8 == 0 ? bits / 8 : std::numeric_limits<uint64_t>::max();
}

std::string described(const SafetensorsEntry& entry) {
  return entry.other_dtype.empty() ? str(entry.dtype, entry.shape) : str(entry.other_dtype, entry.shape);
}

/// Reads the header in place, from its first byte to its last. Nothing nests deeper than a tensor's list of
/// numbers, and what is built is counted beforehand: a small file must not take much memory.
class HeaderReader : private JsonReader {
 public:
  HeaderReader(std::string_view text, uint64_t file_bytes, const std::string& where)
      : JsonReader(text), where_(where), memory_left_(2 * file_bytes + kSpareBytes) {
    take(text.size());
  }

  SafetensorsHeader read() {
    expect('{');
    read_members([&](std::string&& name) {
      check_name(name);
      name_ = std::move(name);
      if (name_ == kMetadata) {
        if (std::exchange(has_metadata_, true)) fail("the name is there twice");
        read_metadata();
      } else {
        read_entry();
      }
      name_.clear();
    });
    if (next() != '\0' || place_ < text_.size()) fail_syntax();
    check_names_differ();
    return std::move(header_);
  }

 private:
  // What a tensor and a text take besides their bytes: entry, name and storage, and the nodes of a map.
  static constexpr uint64_t kEntryBytes = 768, kTextBytes = 160;
  // What any file may take: as much as several thousand tensors.
  static constexpr uint64_t kSpareBytes = uint64_t{4} << 20;

  [[noreturn]] void fail(const std::string& problem) const {
    const std::string place = name_.empty() ? "the header" : "header entry " + in_quotes(name_);
    throw CheckpointError(str("safetensors: ", where_, ": ", place, ": ", problem));
  }
  [[noreturn]] void fail_syntax() const override {
    throw CheckpointError(str("safetensors: ", where_, ": the header is not valid JSON at offset ",
                              kTextOffset + place_, place_ < text_.size() ? ": found " : ": it ends there",
                              place_ < text_.size() ? in_quotes(text_.substr(place_, 1)) : ""));
  }

  void take(uint64_t bytes) override {
    check<CheckpointError>(
        bytes <= memory_left_, "safetensors: ", where_,
        ": reading the header's tensors and texts, of which many are empty or tiny, would ",
        "take more than twice the memory that the file has bytes; this is no file of weights");
    memory_left_ -= bytes;
  }

  /// Complains about a value of another kind than `wanted`: '"', '{', '[', or '0' for a number.
  void expect_kind(char wanted) {
    const char c = next();
    const bool is_number = c == '-' || (c >= '0' && c <= '9');
    if (is_number ? wanted == '0' : c == wanted) return;
    if (is_number) fail("found a number in the place of something else");
    if (c == '{') fail("found an object inside");
    if (c == '[') fail("found a list in the place of something else");
    if (c == '"') fail("found a text in the place of something else");
    const std::string_view rest = text_.substr(place_);
    if (rest.starts_with("null")) fail("found null in the place of something else");
    if (rest.starts_with("true") || rest.starts_with("false")) {
      fail("found a boolean in the place of something else");
    }
    fail_syntax();
  }

  void read_metadata() {
    expect_kind('{');
    expect('{');
    read_members([&](std::string&& key) {
      expect_kind('"');
      std::string text = read_string();
      take(kTextBytes);
      const auto [entry, is_new] = header_.metadata.try_emplace(std::move(key), std::move(text));
      if (!is_new) fail("field " + in_quotes(entry->first) + " is there twice");
    });
  }

  void read_entry() {
    expect_kind('{');
    expect('{');
    take(kEntryBytes);
    SafetensorsEntry entry;
    bool has_dtype = false, has_shape = false, has_offsets = false;
    read_members([&](std::string&& field) {
      const auto note = [&](bool& is_there) {
        if (std::exchange(is_there, true)) fail("field " + in_quotes(field) + " is there twice");
      };
      if (field == "dtype") {
        note(has_dtype);
        read_dtype(entry);
      } else if (field == "shape") {
        note(has_shape);
        read_numbers(field, static_cast<size_t>(Shape::kMaxRank));
        entry.shape = shape_of_numbers();
      } else if (field == "data_offsets") {
        note(has_offsets);
        read_numbers(field, 2);
        if (count_ != 2) fail(str("data_offsets has ", count_, " numbers, wanted 2"));
        entry.begin = numbers_[0];
        entry.end = numbers_[1];
      } else {
        fail("unknown field " + in_quotes(field) + ", wanted dtype, shape and data_offsets");
      }
    });
    if (!has_dtype || !has_shape || !has_offsets) {
      fail("a field is missing, wanted dtype, shape and data_offsets");
    }
    entry.name = std::exchange(name_, "");
    header_.entries.push_back(std::move(entry));
  }

  void read_dtype(SafetensorsEntry& entry) {
    expect_kind('"');
    const std::string text = read_string();
    const auto known = std::find_if(kDtypeNames.begin(), kDtypeNames.end(),
                                    [&](const auto& candidate) { return candidate.second == text; });
    if (known != kDtypeNames.end()) {
      entry.dtype = known->first;
      entry.other_dtype.clear();
    } else if (find_other(text) != kOtherDtypes.end()) {
      entry.other_dtype = text;
    } else {
      fail("dtype is " + in_quotes(text) +
           ", wanted F32, F64, BF16, F16, U8, I32 or I64, or another one of the format");
    }
  }

  /// A list of at most `most` whole numbers.
  void read_numbers(const std::string& field, size_t most) {
    expect_kind('[');
    expect('[');
    count_ = 0;
    if (skip(']')) return;
    do {
      expect_kind('0');
      if (count_ == most) fail(str(field, " has more than ", most, " numbers"));
      numbers_[count_++] = read_number();
    } while (skip(','));
    expect(']');
  }

  uint64_t read_number() {
    const size_t end = std::min(text_.find_first_not_of("+-.0123456789Ee", place_), text_.size());
    const std::string_view digits = text_.substr(place_, end - place_);
    const bool is_plain = digits.find_first_not_of("0123456789") == std::string_view::npos;
    uint64_t number = 0;
    const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (is_plain && digits.size() > 1 && digits[0] == '0') fail_syntax();
    if (!is_plain || result.ec != std::errc()) {
      fail("found " + std::string(digits.substr(0, 40)) +
           ", wanted a whole number that is not negative, of at most 64 bits");
    }
    place_ = end;
    return number;
  }

  void check_name(const std::string& name) const {
    const bool is_plain = std::none_of(name.begin(), name.end(), [](char letter) {
      const auto code = static_cast<unsigned char>(letter);
      return code < 0x20 || code == 0x7f;
    });
    if (name.empty() || !is_plain) fail("a tensor's name is empty or has control characters");
  }

  void check_names_differ() {
    std::vector<std::string_view> names;
    take(header_.entries.size() * sizeof(std::string_view));
    names.reserve(header_.entries.size());
    for (const SafetensorsEntry& entry : header_.entries) names.push_back(entry.name);
    std::sort(names.begin(), names.end());
    const auto twice = std::adjacent_find(names.begin(), names.end());
    if (twice != names.end()) fail("the name " + in_quotes(*twice) + " is there twice");
  }

  Shape shape_of_numbers() const {
    std::array<int64_t, Shape::kMaxRank> extents{};
    uint64_t product = 1;
    constexpr uint64_t kMost = uint64_t{1} << 56;  // as Tensor has it
    for (size_t i = 0; i < count_; ++i) {
      const uint64_t number = numbers_[i];
      if (number > kMost || (number > 0 && product > kMost / number)) fail("shape has too many elements");
      product *= std::max<uint64_t>(number, 1);
      extents[i] = static_cast<int64_t>(number);
    }
    return Shape(std::span<const int64_t>(extents.data(), count_));
  }

  const std::string& where_;
  uint64_t memory_left_;
  SafetensorsHeader header_;
  bool has_metadata_ = false;
  std::string name_;  // of the entry that is being read
  std::array<uint64_t, Shape::kMaxRank> numbers_{};
  size_t count_ = 0;  // of those that were read
};

/// Sorts the entries by their bytes and checks that these cover [0, data_bytes) without hole or overlap.
void check_layout(std::vector<SafetensorsEntry>& entries, uint64_t data_bytes, const std::string& where) {
  std::stable_sort(entries.begin(), entries.end(), [](const SafetensorsEntry& a, const SafetensorsEntry& b) {
    return std::tie(a.begin, a.end) < std::tie(b.begin, b.end);
  });
  uint64_t position = 0;
  for (const SafetensorsEntry& entry : entries) {
    const auto require = [&](bool condition, const char* problem) {
      check<CheckpointError>(condition, "safetensors: ", where, ": tensor ", in_quotes(entry.name),
                             ": data_offsets [", entry.begin, ", ", entry.end, "] ", problem);
    };
    require(entry.begin <= entry.end, "end before they begin");
    require(entry.end <= data_bytes, "reach beyond the end of the file");
    const uint64_t wanted = wanted_bytes(entry);
    check<CheckpointError>(entry.end - entry.begin == wanted, "safetensors: ", where, ": tensor ",
                           in_quotes(entry.name), ": ", entry.end - entry.begin, " bytes are stored for ",
                           described(entry), ", wanted ", wanted);
    require(entry.begin >= position, "overlap the tensor before");
    require(entry.begin <= position, "leave a hole after the tensor before");
    position = entry.end;
  }
  check<CheckpointError>(position == data_bytes, "safetensors: ", where, ": ", data_bytes - position,
                         " bytes at the end of the file belong to no tensor");
}

}  // namespace

SafetensorsHeader parse_safetensors_header(std::string_view text, uint64_t data_bytes,
                                           const std::string& where) {
  check<CheckpointError>(text.starts_with('{'), "safetensors: ", where,
                         ": the header at offset 8 does not begin",
                         " with {; this is not a safetensors file");
  check<CheckpointError>(text.find('\0') == text.npos, "safetensors: ", where,
                         ": the header has a NUL at offset ", kTextOffset + text.find('\0'));
  SafetensorsHeader header = HeaderReader(text, kTextOffset + text.size() + data_bytes, where).read();
  check_layout(header.entries, data_bytes, where);
  return header;
}

std::string safetensors_header_text(const SafetensorsHeader& header, const std::string& where) {
  // Not an object of the library's, whose destructor asks for memory, and not through a stream, which leaves
  // out what it has no memory for.
  std::map<std::string, std::string> members;
  const auto quoted = [&](const std::string& plain) {
    try {
      return Json(plain).dump();
    } catch (const Json::exception& error) {
      throw CheckpointError(
          str("safetensors: ", where, ": a name or a text cannot be written: ", error.what()));
    }
  };
  if (!header.metadata.empty()) {
    std::string& metadata = members[kMetadata];
    for (const auto& [key, value] : header.metadata) {
      metadata.append(metadata.empty() ? "{" : ",").append(quoted(key)).append(":").append(quoted(value));
    }
    metadata += "}";
  }
  uint64_t data_bytes = 0;
  for (const SafetensorsEntry& entry : header.entries) {
    check<CheckpointError>(entry.name != kMetadata && !members.contains(entry.name), "safetensors: ", where,
                           ": the name ", in_quotes(entry.name), " is there twice or is reserved");
    const auto dtype = std::find_if(kDtypeNames.begin(), kDtypeNames.end(),
                                    [&](const auto& candidate) { return candidate.first == entry.dtype; });
    std::string& member = members[entry.name];
    member.append("{\"data_offsets\":[").append(std::to_string(entry.begin)).append(",");
    member.append(std::to_string(entry.end)).append("],\"dtype\":\"").append(dtype->second);
    member.append("\",\"shape\":[");
    for (const int64_t extent : entry.shape.extents()) {
      if (member.back() != '[') member += ',';
      member += std::to_string(extent);
    }
    member += "]}";
    data_bytes = entry.end;
  }
  std::string text;
  for (const auto& [name, member] : members) {
    text.append(text.empty() ? "{" : ",").append(quoted(name)).append(":").append(member);
  }
  text += text.empty() ? "{}" : "}";
  text.resize((text.size() + 7) / 8 * 8, ' ');
  parse_safetensors_header(text, data_bytes, where);
  return text;
}

}  // namespace fovea
