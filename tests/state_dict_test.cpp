#include "fovea/training/state_dict.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "fovea/core/check.h"
#include "fovea/models/zoo.h"
#include "fovea/training/checkpoint.h"
#include "op_test.h"
#include "test_files.h"

namespace fovea {
namespace {

std::unique_ptr<Model> small_network(uint64_t seed, const char* name = "attention-nano") {
  return make_model(name, {}, seed);
}

NamedTensor& entry_of(std::vector<NamedTensor>& tensors, const std::string& name) {
  for (NamedTensor& entry : tensors) {
    if (entry.name == name) return entry;
  }
  FAIL("there is no tensor " << name);
  return tensors[0];
}

TEST_CASE("state_dict: names and filters are PyTorch's, and counters are added") {
  const std::unique_ptr<Model> network = small_network(1);
  const std::vector<NamedTensor> weights = weights_of(*network);
  std::vector<NamedTensor> state = state_dict_of(weights, 4680);

  const std::string unit = "stages.1.attention_modules.0.mask.middle.0.";
  const Tensor there = entry_of(state, unit + "conv.weight").tensor;
  std::vector<NamedTensor> here_all = weights;
  const Tensor here = entry_of(here_all, "stages.1.modules.0.mask.middle.0.conv.weight").tensor;
  const Shape s = here.shape();
  REQUIRE(there.shape() == Shape{s[0], s[3], s[1], s[2]});
  const std::vector<double> a = here.to_doubles(), b = there.to_doubles();
  for (int64_t k = 0; k < s[0]; ++k)
    for (int64_t y = 0; y < s[1]; ++y)
      for (int64_t x = 0; x < s[2]; ++x)
        for (int64_t c = 0; c < s[3]; ++c) {
          const auto at = static_cast<size_t>(((k * s[1] + y) * s[2] + x) * s[3] + c);
          const auto at_there = static_cast<size_t>(((k * s[3] + c) * s[1] + y) * s[2] + x);
          if (a[at] != b[at_there]) FAIL("filter " << k << ", " << y << ", " << x << ", " << c);
        }
  CHECK(entry_of(state, unit + "norm1.running_var").tensor.shape() == Shape{s[3] * 4});
  CHECK(entry_of(state, "linear.weight").tensor.shape() == Shape{10, 128});
  const Tensor counter = entry_of(state, unit + "norm1.num_batches_tracked").tensor;
  CHECK((counter.rank() == 0 && counter.dtype() == Dtype::i64 && counter.item() == 4680));
  size_t norms = 0;
  for (const NamedTensor& entry : weights) norms += entry.name.ends_with(".running_variance");
  CHECK(state.size() == weights.size() + norms);
}

TEST_CASE("state_dict: what was written is loaded to the last bit, also from DataParallel and from bf16") {
  for (const char* name : {"attention-nano", "preact-resnet164", "attention56-imagenet"}) {
    const std::unique_ptr<Model> first = small_network(1, name), second = small_network(2, name);
    SafetensorsFile file{state_dict_of(weights_of(*first), 1)};
    CHECK(load_state_dict(*second, file, name) == 0);
    const std::vector<NamedTensor> a = weights_of(*first), b = weights_of(*second);
    for (size_t i = 0; i < a.size(); ++i) {
      if (!test::same_bits(a[i].tensor, b[i].tensor)) FAIL(name << ": " << a[i].name);
    }
  }
  const std::unique_ptr<Model> first = small_network(1), second = small_network(2);
  SafetensorsFile file{state_dict_of(weights_of(*first), 1)};
  for (NamedTensor& entry : file.tensors) entry.name = "module." + entry.name;
  Tensor narrow = Tensor::zeros(entry_of(file.tensors, "module.norm.weight").tensor.shape(), Dtype::bf16);
  entry_of(file.tensors, "module.norm.weight").tensor = narrow;
  CHECK(load_state_dict(*second, file, "wrapped") == 1);
  std::vector<NamedTensor> loaded = weights_of(*second), wanted = weights_of(*first);
  CHECK(test::same_bits(entry_of(loaded, "stem.weight").tensor, entry_of(wanted, "stem.weight").tensor));
  CHECK(entry_of(loaded, "norm.weight").tensor.to_doubles()[0] == 0);
}

TEST_CASE("state_dict: what is broken is named as the file has it, and changes nothing") {
  const std::unique_ptr<Model> network = small_network(2), other = small_network(1);
  const std::vector<NamedTensor> good = state_dict_of(weights_of(*other), 1);
  const std::string filter = "stages.0.attention_modules.0.trunk.0.conv.weight";
  const auto with = [&](const std::string& name, const std::function<void(NamedTensor&)>& change) {
    std::vector<NamedTensor> tensors = good;
    change(entry_of(tensors, name));
    return tensors;
  };
  const auto set_first = [](double value) {
    return [value](NamedTensor& entry) {
      entry.tensor = entry.tensor.clone();
      entry.tensor.data<float>()[0] = static_cast<float>(value);
    };
  };
  const auto reshaped = [](const Shape& shape, Dtype dtype = Dtype::f32) {
    return [=](NamedTensor& entry) { entry.tensor = Tensor::zeros(shape, dtype); };
  };
  const auto renamed = [](const std::string& name) { return [=](NamedTensor& entry) { entry.name = name; }; };
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  struct Case {
    std::vector<NamedTensor> tensors;
    std::string message;
  };
  std::vector<Case> cases = {
      {{}, "stem.weight"},
      {with("stem.weight", renamed("stem.weights")), "stem.weight"},
      {with("stem.weight", renamed("conv1.weight")), "conv1.weight"},
      {with("stem.weight", renamed("module.stem.weight")), "module.stem.weight"},
      {with("norm.running_var", renamed("norm.running_variance")), "norm.running_var"},
      {with(filter, renamed("stages.0.modules.0.trunk.0.conv.weight")), filter},
      {with(filter, reshaped({8, 3, 3, 8})), filter + ": found f32[8, 3, 3, 8], wanted f32[8, 8, 3, 3]"},
      {with(filter, reshaped({8, 8, 3})), filter},
      {with(filter, reshaped({8, 8, 1, 1})), filter},
      {with(filter, reshaped({16, 8, 3, 3})), filter},
      {with(filter, reshaped({8, 8, 3, 3}, Dtype::f64)), filter},
      {with(filter, reshaped({8, 8, 3, 3}, Dtype::i32)), filter},
      {with(filter, reshaped({8, 8, 3, 3}, Dtype::u8)), filter},
      {with("linear.weight", reshaped({100, 128})), "linear.weight"},
      {with("linear.weight", reshaped({128, 10})), "linear.weight"},
      {with("linear.bias", reshaped({100})), "linear.bias"},
      {with("linear.bias", reshaped({})), "linear.bias"},
      {with("linear.bias", reshaped({0})), "linear.bias"},
      {with("norm.running_var", set_first(-1)), "norm.running_var has a variance of -1"},
      {with("norm.running_var", set_first(std::nan(""))), "norm.running_var"},
      {with("norm.running_mean", set_first(kInfinity)), "norm.running_mean"},
      {with("stem.weight", set_first(-kInfinity)), "stem.weight"},
      {with("linear.bias", set_first(std::nan(""))), "linear.bias"}};
  std::vector<NamedTensor> more = good;
  more.push_back({"classifier.weight", Tensor::zeros({10})});
  cases.push_back({more, "classifier.weight"});
  const std::unique_ptr<Model> larger = small_network(1, "attention56");
  cases.push_back({state_dict_of(weights_of(*larger), 1), "stages.0"});
  const std::unique_ptr<Model> baseline = small_network(1, "preact-resnet164");
  cases.push_back({state_dict_of(weights_of(*baseline), 1), "stages.0.unit.norm1"});
  for (NamedTensor& entry : more = weights_of(*other)) entry.name = "model." + entry.name;
  cases.push_back({more, "model."});

  const std::vector<NamedTensor> before = [&] {
    std::vector<NamedTensor> copies = weights_of(*network);
    for (NamedTensor& entry : copies) entry.tensor = entry.tensor.clone();
    return copies;
  }();
  for (const Case& broken : cases) {
    INFO(broken.message);
    const std::string message =
        message_of<Error>([&] { load_state_dict(*network, SafetensorsFile{broken.tensors}, "theirs"); });
    CHECK_THAT(message, Catch::StartsWith("checkpoint: theirs") && Catch::Contains(broken.message));
    const std::vector<NamedTensor> after = weights_of(*network);
    for (size_t i = 0; i < after.size(); ++i) {
      if (!test::same_bits(before[i].tensor, after[i].tensor)) FAIL(after[i].name << " has changed");
    }
  }
}

}  // namespace
}  // namespace fovea
