// The stored numbers of tests/golden, which PyTorch computed: same weights, same results.
#include <catch2/catch.hpp>
#include <cmath>
#include <map>

#include "fovea/core/safetensors.h"
#include "fovea/layers/functional.h"
#include "fovea/training/optimiser.h"
#include "layer_check.h"
#include "op_test.h"
#include "variants.h"

namespace fovea {
namespace {

constexpr double kLearningRate = 0.02, kMomentum = 0.9, kWeightDecay = 5e-4;  // as in make_golden.py

struct Tolerances {
  Dtype dtype;
  double logits;     // relative
  double gradients;  // relative, and of the running statistics
  double losses;     // relative
};
// The file holds weights and gradients as f32, logits and losses as f64.
constexpr Tolerances kSingle{Dtype::f32, 1e-5, 1e-4, 1e-4};
constexpr Tolerances kDouble{Dtype::f64, 1e-9, 1e-6, 1e-9};

class Golden {
 public:
  explicit Golden(const std::string& name)
      : file_(read_safetensors(std::string(FOVEA_GOLDEN_DIR) + "/" + name + ".safetensors")) {}

  const Tensor& operator[](const std::string& name) const {
    const Tensor* tensor = file_.find(name);
    INFO("stored tensor " << name);
    REQUIRE(tensor != nullptr);
    return *tensor;
  }
  size_t count(const std::string& prefix) const {
    size_t count = 0;
    for (const NamedTensor& entry : file_.tensors) count += entry.name.starts_with(prefix) ? 1 : 0;
    return count;
  }

 private:
  SafetensorsFile file_;
};

/// Every stored weight has its place, and every place its stored weight.
void load(Module& model, const Golden& golden) {
  size_t loaded = 0;
  const auto copy = [&](const std::string& path, Tensor destination) {
    destination.copy_from(golden["model." + path]);
    ++loaded;
  };
  for (const NamedParameter& parameter : named_parameters(model))
    copy(parameter.path, parameter.variable.value());
  for (const NamedBuffer& buffer : named_buffers(model)) copy(buffer.path, buffer.tensor);
  REQUIRE(loaded == golden.count("model."));
}

/// Nesterov SGD as PyTorch defines it, one number after the other.
class PlainSgd {
 public:
  explicit PlainSgd(Module& model) : parameters_(named_parameters(model)) {}

  void step() {
    for (NamedParameter& parameter : parameters_) {
      const std::vector<double> gradients = parameter.variable.grad().to_doubles();
      double* weights = parameter.variable.value().data<double>();
      std::vector<double>& velocity = velocities_[parameter.path];
      velocity.resize(gradients.size(), 0.0);
      for (size_t i = 0; i < gradients.size(); ++i) {
        const double gradient = gradients[i] + kWeightDecay * weights[i];
        velocity[i] = kMomentum * velocity[i] + gradient;
        weights[i] -= kLearningRate * (gradient + kMomentum * velocity[i]);
      }
      parameter.variable.zero_grad();
    }
  }

 private:
  std::vector<NamedParameter> parameters_;
  std::map<std::string, std::vector<double>> velocities_;
};

/// Ten steps on the stored batch; compares the loss before each.
void check_losses(Model& model, const Golden& golden, const Tolerances& tolerances,
                  const std::function<void()>& step) {
  const std::vector<double> losses = golden["losses"].to_doubles();
  REQUIRE(losses.size() == 10);
  const Tensor images = test::cast(golden["images"], tolerances.dtype);
  for (size_t i = 0; i < losses.size(); ++i) {
    const Variable loss = F::softmax_cross_entropy(model.forward(images), golden["labels"]);
    const double found = loss.value().item();
    INFO("loss after " << i << " steps: " << found << ", wanted " << losses[i]);
    CHECK(std::abs(found - losses[i]) <= tolerances.losses * losses[i]);
    loss.backward();
    step();
  }
}

void check_parity(const test::Variant& variant, const Tolerances& tolerances) {
  INFO(variant.name << " in " << tolerances.dtype);
  const Golden golden(variant.name);
  const std::unique_ptr<Model> model = variant.make(/*seed=*/1);
  load(*model, golden);
  convert_to(*model, tolerances.dtype);
  const Tensor images = test::cast(golden["images"], tolerances.dtype);

  model->train(false);
  CHECK(test::relative_distance(model->forward(images).value(), golden["eval_logits"]) <= tolerances.logits);

  model->train();
  const Variable logits = model->forward(images);
  CHECK(test::relative_distance(logits.value(), golden["train_logits"]) <= tolerances.logits);
  F::softmax_cross_entropy(logits, golden["labels"]).backward();
  for (const NamedParameter& parameter : named_parameters(*model)) {
    INFO("gradient of " << parameter.path);
    const Tensor& wanted = golden["gradient." + parameter.path];
    CHECK(test::relative_distance(parameter.variable.grad(), wanted) <= tolerances.gradients);
  }
  for (const NamedBuffer& buffer : named_buffers(*model)) {
    INFO(buffer.path << " after one step");
    CHECK(test::relative_distance(buffer.tensor, golden["after." + buffer.path]) <= tolerances.gradients);
  }

  for (NamedParameter& parameter : named_parameters(*model)) parameter.variable.zero_grad();
  if (tolerances.dtype == Dtype::f64) {  // the optimiser is for f32
    PlainSgd sgd(*model);
    check_losses(*model, golden, tolerances, [&] { sgd.step(); });
    return;
  }
  OptimiserSettings settings;
  settings.momentum = kMomentum;
  settings.nesterov = true;
  settings.weight_decay = kWeightDecay;
  Optimiser optimiser(*model, settings);
  check_losses(*model, golden, tolerances, [&] {
    optimiser.step(kLearningRate);
    optimiser.zero_grad();
  });
}

TEST_CASE("parity: every variant gives PyTorch's logits, gradients and ten losses in f32") {
  for (const test::Variant& variant : test::variants()) check_parity(variant, kSingle);
}

TEST_CASE("parity: every variant gives PyTorch's logits, gradients and ten losses in f64") {
  for (const test::Variant& variant : test::variants()) check_parity(variant, kDouble);
}

}  // namespace
}  // namespace fovea
