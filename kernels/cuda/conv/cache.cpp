#include "fovea/kernels/cuda/conv/cache.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <iostream>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "fovea/core/atomic_file.h"
#include "fovea/core/cache_folder.h"
#include "fovea/core/check.h"
#include "fovea/core/environment.h"

namespace fovea::kernels::cuda {
namespace {

using Json = nlohmann::json;

constexpr int kFormat = 1;
constexpr uint64_t kMostBytes = uint64_t{16} << 20;  // of a file that is read

/// Letters, digits, dots and hyphens only.
std::string file_name(const std::string& library, const std::string& device) {
  std::string name = "conv-" + library + "-" + device;
  const auto is_plain = [](unsigned char c) { return std::isalnum(c) != 0 || c == '.' || c == '-'; };
  std::replace_if(name.begin(), name.end(), std::not_fn(is_plain), '_');
  return name + ".json";
}

/// Without the time.
Json to_json(const ConvChoice& choice) {
  Json result = {{"padded", choice.is_padded}, {"engine", nullptr}};
  if (choice.engine) {
    result["engine"] = choice.engine->index;
    for (const auto& [type, value] : choice.engine->knobs) result["knobs"].push_back({type, value});
  }
  return result;
}

/// What is none of 64 bits is an Error: the library would cut it to something else.
int64_t whole_number(const Json& json) {
  const bool fits = json.is_number_integer() &&
                    (!json.is_number_unsigned() ||
                     json.get<uint64_t>() <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max()));
  check(fits, "conv: the choice has ", json.dump().substr(0, 40), ", wanted a whole number of 64 bits");
  return json.get<int64_t>();
}

ConvChoice from_json(const Json& json) {
  ConvChoice choice;
  choice.is_padded = json.at("padded").get<bool>();
  if (json.at("engine").is_null()) return choice;
  choice.engine.emplace().index = whole_number(json.at("engine"));
  for (const Json& knob : json.value("knobs", Json::array())) {
    choice.engine->knobs.push_back({whole_number(knob.at(0)), whole_number(knob.at(1))});
  }
  return choice;
}

}  // namespace

std::string text_of(const ConvChoice& choice) {
  return to_json(choice).dump();
}

std::optional<ConvChoice> choice_from(const std::string& text) {
  try {
    return from_json(Json::parse(text));
  } catch (const Json::exception&) {
    return {};
  } catch (const Error&) {
    return {};
  }
}

std::string cache_folder() {
  if (const std::string own = environment("FOVEA_CACHE"); !own.empty()) return own;
  try {
    return fovea::cache_folder();
  } catch (const DataError&) {
    return "";  // the user has no home
  }
}

ConvCache::ConvCache(const std::string& folder, std::string library, std::string device)
    : path_(folder.empty() ? "" : folder + "/" + file_name(library, device)),
      library_(std::move(library)),
      device_(std::move(device)),
      choices_(read()) {}

std::optional<ConvChoice> ConvCache::find(const ConvKey& problem) const {
  const auto found = choices_.find(problem.str());
  return found == choices_.end() ? std::nullopt : std::optional(found->second);
}

ConvChoice ConvCache::add(const ConvKey& problem, const ConvChoice& choice) {
  const std::string key = problem.str();
  if (path_.empty()) return choices_[key] = choice;
  const Choices others = read();
  const auto first = others.find(key);
  // The file may still have what was found there before, and has proved no good.
  const auto known = choices_.find(key);
  const bool is_new = first != others.end() && (known == choices_.end() || !(known->second == first->second));
  choices_[key] = is_new ? first->second : choice;
  choices_.insert(others.begin(), others.end());
  Json json = {{"format", kFormat}, {"library", library_}, {"device", device_}, {"choices", Json::object()}};
  for (const auto& [description, kept] : choices_) {
    Json& entry = json["choices"][description] = to_json(kept);
    entry["microseconds"] = kept.microseconds;
  }
  const std::string text = json.dump(1) + "\n";
  try {
    std::filesystem::create_directories(std::filesystem::path(path_).parent_path());
    AtomicFile file(path_);
    file.write(text.data(), text.size());
    file.commit();
  } catch (const std::exception& error) {
    if (!std::exchange(has_failed_, true)) {
      std::cerr << "fovea: the choice of convolution engines is not kept: " << error.what() << std::endl;
    }
  }
  return choices_[key];
}

ConvCache::Choices ConvCache::read() const {
  Choices result;
  try {
    if (path_.empty() || !std::filesystem::exists(path_)) return {};
    const ReadableFile file(path_);
    if (file.size() > kMostBytes) return {};
    std::string text(static_cast<size_t>(file.size()), '\0');
    file.read(0, text.data(), text.size());
    const Json json = Json::parse(text);
    if (json.at("format") != kFormat || json.at("library") != library_ || json.at("device") != device_) {
      return {};
    }
    for (const auto& [description, choice] : json.at("choices").items()) {
      ConvChoice& kept = result[description] = from_json(choice);
      kept.microseconds = choice.at("microseconds").get<double>();
    }
  } catch (const std::exception&) {
    return {};  // it is only a cache
  }
  return result;
}

}  // namespace fovea::kernels::cuda
