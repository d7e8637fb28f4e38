#include "fovea/models/zoo.h"

#include <utility>

#include "fovea/core/suggestion.h"

namespace fovea {
namespace {

using Settings = ResidualAttentionSettings;

/// Attention-(36m+20) for 32x32 images: m modules in each stage.
Settings attention(int64_t m) {
  Settings s;
  s.modules = {m, m, m};
  return s;
}

Settings attention452() {
  Settings s = attention(6);
  s.p = 2;
  s.t = 4;
  s.r = 3;
  return s;
}

/// The network of the 94.96% report and of the popular ports.
Settings attention92_wide() {
  Settings s;
  s.stem = 32;
  s.stem_bn = true;
  s.channels = {128, 256, 512};
  s.modules = {1, 2, 3};
  s.mask_depth = {2, 1, 0};
  s.closing_unit = false;
  s.tail = {1024, 1024, 1024};
  s.extra_adds = true;
  return s;
}

/// Small enough to train on two cores in minutes.
Settings attention_nano() {
  Settings s = attention(1);
  s.channels = {32, 64, 128};
  return s;
}

/// The released ImageNet graph: BN-ReLU and a max-pool after the stem, one unit before each stage's modules
/// and none after them, one unit before and one after each module's branches, stride 2 at the first tail
/// unit.
Settings imagenet(std::vector<int64_t> modules) {
  Settings s;
  s.classes = 1000;
  s.input_size = 224;
  s.stem_kind = StemKind::conv7x7_pool;
  s.stem = 64;
  s.stem_bn = true;
  s.channels = {256, 512, 1024};
  s.modules = std::move(modules);
  s.closing_unit = false;
  s.tail = {2048, 2048, 2048};
  s.tail_stride = 2;
  return s;
}

struct NamedSettings {
  std::string name;
  Settings settings;
};

const std::vector<NamedSettings>& attention_family() {
  static const std::vector<NamedSettings> family{
      {"attention-nano", attention_nano()},
      {"attention56", attention(1)},
      {"attention92", attention(2)},
      {"attention128", attention(3)},
      {"attention164", attention(4)},
      {"attention236", attention(6)},
      {"attention452", attention452()},
      {"attention92-wide", attention92_wide()},
      {"attention56-imagenet", imagenet({1, 1, 1})},
      {"attention92-imagenet", imagenet({1, 2, 3})},
  };
  return family;
}

constexpr const char* kPreActResNet = "preact-resnet164";

[[noreturn]] void throw_unknown(const std::string& name) {
  throw UsageError(
      str("model ", in_quotes(name), " is none of ", joined(model_names()), suggestion(name, model_names())));
}

/// The entry of a name, or nullptr for the baseline; throws for an unknown name.
const NamedSettings* find(const std::string& name) {
  for (const NamedSettings& entry : attention_family()) {
    if (entry.name == name) return &entry;
  }
  if (name != kPreActResNet) throw_unknown(name);
  return nullptr;
}

PreActResNetSettings preact_resnet_settings(const ModelOptions& o) {
  std::vector<std::string> unwanted;
  AttentionOptions(o).visit([&](const char* option, auto& value, const FieldInfo&) {
    if (value) unwanted.emplace_back(option);
  });
  check<UsageError>(unwanted.empty(), kPreActResNet, " has no attention modules: leave out ",
                    joined(unwanted));
  PreActResNetSettings s;
  s.classes = o.classes.value_or(s.classes);
  s.input_size = o.input_size.value_or(s.input_size);
  return s;
}

}  // namespace

std::vector<std::string> model_names() {
  std::vector<std::string> names;
  for (const NamedSettings& entry : attention_family()) names.push_back(entry.name);
  names.emplace_back(kPreActResNet);
  return names;
}

ResidualAttentionSettings residual_attention_settings(const std::string& name, const ModelOptions& o) {
  const NamedSettings* entry = find(name);
  check<UsageError>(entry != nullptr, name, " is not a Residual Attention Network");
  Settings s = entry->settings;
  s.classes = o.classes.value_or(s.classes);
  s.input_size = o.input_size.value_or(s.input_size);
  apply_changes(o, s);
  return s;
}

int64_t model_input_size(const std::string& name, const ModelOptions& options) {
  if (find(name) == nullptr) return preact_resnet_settings(options).input_size;
  return residual_attention_settings(name, options).input_size;
}

int64_t smallest_input_size(const std::string& name, const ModelOptions& options) {
  if (find(name) == nullptr) return smallest_input(preact_resnet_settings(options));
  return smallest_input(residual_attention_settings(name, options));
}

std::unique_ptr<Model> make_model(const std::string& name, const ModelOptions& options, uint64_t seed) {
  if (find(name) == nullptr) return std::make_unique<PreActResNet>(preact_resnet_settings(options), seed);
  return std::make_unique<ResidualAttentionNetwork>(residual_attention_settings(name, options), seed);
}

}  // namespace fovea
