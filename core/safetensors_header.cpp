#include "fovea/core/safetensors_header.h"

#include <algorithm>
#include <array>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <tuple>
#include <utility>

#include "fovea/core/check.h"

namespace fovea {
namespace {

using Json = nlohmann::json;

constexpr const char* kMetadata = "__metadata__";
constexpr std::array<std::pair<Dtype, const char*>, 7> kDtypeNames{{{Dtype::f32, "F32"},
                                                                    {Dtype::f64, "F64"},
                                                                    {Dtype::bf16, "BF16"},
                                                                    {Dtype::f16, "F16"},
                                                                    {Dtype::u8, "U8"},
                                                                    {Dtype::i32, "I32"},
                                                                    {Dtype::i64, "I64"}}};

/// Takes the header's tokens as the JSON parser meets them. Nothing nests deeper than a tensor's list of
/// numbers, and nothing is built before it is known to belong.
class HeaderReader : public nlohmann::json_sax<Json> {
 public:
  explicit HeaderReader(const std::string& where) : where_(where) {}

  SafetensorsHeader header;

  bool start_object(size_t) override {
    if (place_ == Place::start) {
      place_ = Place::top;
    } else if (place_ == Place::top) {
      place_ = name_ == kMetadata ? Place::metadata : Place::tensor;
      entry_ = {};
      entry_.name = name_;
      fields_.clear();
    } else {
      fail("found an object inside");
    }
    return true;
  }

  bool key(string_t& key) override {
    if (place_ == Place::top) {
      name_ = key;
      check_name();
    } else {
      field_ = key;
      const bool is_known =
          place_ == Place::metadata || key == "dtype" || key == "shape" || key == "data_offsets";
      if (!is_known) fail("unknown field \"" + key + "\", wanted dtype, shape and data_offsets");
      if (!fields_.insert(key).second) fail("field \"" + key + "\" is there twice");
    }
    return true;
  }

  bool string(string_t& text) override {
    if (place_ == Place::metadata) {
      header.metadata[field_] = text;
    } else if (place_ == Place::tensor && field_ == "dtype") {
      const auto known = std::find_if(kDtypeNames.begin(), kDtypeNames.end(),
                                      [&](const auto& candidate) { return candidate.second == text; });
      if (known == kDtypeNames.end()) {
        fail("dtype is \"" + text + "\", wanted F32, F64, BF16, F16, U8, I32 or I64");
      }
      entry_.dtype = known->first;
    } else {
      fail("found a text in the place of something else");
    }
    return true;
  }

  bool start_array(size_t) override {
    if (place_ != Place::tensor || field_ == "dtype") fail("found a list in the place of something else");
    place_ = Place::numbers;
    numbers_.clear();
    return true;
  }

  bool number_unsigned(number_unsigned_t number) override {
    if (place_ != Place::numbers) fail("found a number in the place of something else");
    const size_t most = field_ == "shape" ? static_cast<size_t>(Shape::kMaxRank) : 2;
    if (numbers_.size() == most) fail(str(field_, " has more than ", most, " numbers"));
    numbers_.push_back(number);
    return true;
  }

  bool end_array() override {
    place_ = Place::tensor;
    if (field_ == "shape") {
      entry_.shape = shape_of_numbers();
    } else {
      if (numbers_.size() != 2) fail(str("data_offsets has ", numbers_.size(), " numbers, wanted 2"));
      entry_.begin = numbers_[0];
      entry_.end = numbers_[1];
    }
    return true;
  }

  bool end_object() override {
    if (place_ == Place::tensor) {
      if (fields_.size() != 3) fail("a field is missing, wanted dtype, shape and data_offsets");
      header.entries.push_back(std::move(entry_));
    }
    place_ = place_ == Place::top ? Place::end : Place::top;
    name_.clear();
    return true;
  }

  bool number_integer(number_integer_t number) override {
    fail(str("found ", number, ", wanted a number that is not negative"));
  }
  bool number_float(number_float_t, const string_t& text) override {
    fail("found " + text + ", wanted a whole number of at most 64 bits");
  }
  bool null() override { fail("found null in the place of something else"); }
  bool boolean(bool) override { fail("found a boolean in the place of something else"); }
  bool binary(binary_t&) override { fail("found binary data in the place of something else"); }
  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception& error) override {
    throw CheckpointError(str("safetensors: ", where_, ": the header is not valid JSON at offset ",
                              7 + position, ": ", error.what()));
  }

 private:
  enum class Place { start, top, metadata, tensor, numbers, end };

  [[noreturn]] void fail(const std::string& problem) const {
    const std::string place = name_.empty() ? "the header" : "header entry \"" + name_ + "\"";
    throw CheckpointError(str("safetensors: ", where_, ": ", place, ": ", problem));
  }

  void check_name() {
    const std::string name = std::exchange(name_, "");  // an odd name must not get into the message
    const bool is_plain = std::none_of(name.begin(), name.end(), [](char letter) {
      const auto code = static_cast<unsigned char>(letter);
      return code < 0x20 || code == 0x7f;
    });
    if (name.empty() || !is_plain) fail("a tensor's name is empty or has control characters");
    if (!names_.insert(name).second) fail("the name \"" + name + "\" is there twice");
    name_ = name;
  }

  Shape shape_of_numbers() const {
    std::vector<int64_t> extents;
    uint64_t product = 1;
    constexpr uint64_t kMost = uint64_t{1} << 56;  // as Tensor has it
    for (const uint64_t number : numbers_) {
      if (number > kMost || (number > 0 && product > kMost / number)) fail("shape has too many elements");
      product *= std::max<uint64_t>(number, 1);
      extents.push_back(static_cast<int64_t>(number));
    }
    return Shape(std::span<const int64_t>(extents));
  }

  std::string where_;
  Place place_ = Place::start;
  std::string name_, field_;
  SafetensorsEntry entry_;
  std::vector<uint64_t> numbers_;
  std::set<std::string> names_, fields_;
};

/// Sorts the entries by their bytes and checks that these cover [0, data_bytes) without hole or overlap.
void check_layout(std::vector<SafetensorsEntry>& entries, uint64_t data_bytes, const std::string& where) {
  std::stable_sort(entries.begin(), entries.end(), [](const SafetensorsEntry& a, const SafetensorsEntry& b) {
    return std::tie(a.begin, a.end) < std::tie(b.begin, b.end);
  });
  uint64_t position = 0;
  for (const SafetensorsEntry& entry : entries) {
    const auto require = [&](bool condition, const char* problem) {
      check<CheckpointError>(condition, "safetensors: ", where, ": tensor \"", entry.name,
                             "\": data_offsets [", entry.begin, ", ", entry.end, "] ", problem);
    };
    require(entry.begin <= entry.end, "end before they begin");
    require(entry.end <= data_bytes, "reach beyond the end of the file");
    const uint64_t wanted = static_cast<uint64_t>(entry.shape.size()) * size_of(entry.dtype);
    check<CheckpointError>(entry.end - entry.begin == wanted, "safetensors: ", where, ": tensor \"",
                           entry.name, "\": ", entry.end - entry.begin, " bytes are stored for ", entry.dtype,
                           entry.shape, ", wanted ", wanted);
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
  // The JSON parser takes a NUL for the end of the text.
  check<CheckpointError>(text.find('\0') == text.npos, "safetensors: ", where,
                         ": the header has a NUL at offset ", 8 + text.find('\0'));
  HeaderReader reader(where);
  Json::sax_parse(text.begin(), text.end(), &reader);
  check_layout(reader.header.entries, data_bytes, where);
  return std::move(reader.header);
}

std::string safetensors_header_text(const SafetensorsHeader& header, const std::string& where) {
  // Not an object of the library's: the destructor of one asks for memory.
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
      metadata += str(metadata.empty() ? "{" : ",", quoted(key), ":", quoted(value));
    }
    metadata += "}";
  }
  uint64_t data_bytes = 0;
  for (const SafetensorsEntry& entry : header.entries) {
    check<CheckpointError>(entry.name != kMetadata && !members.contains(entry.name), "safetensors: ", where,
                           ": the name \"", entry.name, "\" is there twice or is reserved");
    const auto dtype = std::find_if(kDtypeNames.begin(), kDtypeNames.end(),
                                    [&](const auto& candidate) { return candidate.first == entry.dtype; });
    std::string& member = members[entry.name];
    member = str("{\"data_offsets\":[", entry.begin, ",", entry.end, "],\"dtype\":\"", dtype->second,
                 "\",\"shape\":[");
    for (const int64_t extent : entry.shape.extents()) {
      if (member.back() != '[') member += ',';
      member += std::to_string(extent);
    }
    member += "]}";
    data_bytes = entry.end;
  }
  std::string text;
  for (const auto& [name, member] : members) text += str(text.empty() ? "{" : ",", quoted(name), ":", member);
  text += text.empty() ? "{}" : "}";
  text.resize((text.size() + 7) / 8 * 8, ' ');
  parse_safetensors_header(text, data_bytes, where);
  return text;
}

}  // namespace fovea
