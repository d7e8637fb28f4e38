// The stored numbers of tests/golden, which PyTorch computed: same weights, same results.
#include <catch2/catch.hpp>
#include <cmath>
#include <iostream>
#include <map>
#include <sstream>
#include <utility>

#include "fovea/core/check.h"
#include "fovea/core/environment.h"
#include "fovea/core/safetensors.h"
#include "fovea/layers/functional.h"
#include "fovea/models/attention_maps.h"
#include "fovea/models/zoo.h"
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
  double gradients;  // relative; also of the running statistics
};
// The files hold weights and gradients as f32, logits and losses as f64.
constexpr Tolerances kSingle{Dtype::f32, 1e-5, 1e-4};
constexpr Tolerances kDouble{Dtype::f64, 1e-9, 1e-6};

// The source tree's, or another where the tests run on a machine that has no such path.
std::string golden_folder() {
  const std::string folder = environment("FOVEA_GOLDEN_DIR");
  return folder.empty() ? FOVEA_GOLDEN_DIR : folder;
}

bool is_real(Device device) {
  return device.is_cuda() && !describe(device).starts_with("emulated");
}

/// The distances of one kind of numbers of a network from PyTorch's. A real device adds in another order,
/// which flips a ReLU here and there and is no fault: there the largest is told, and only what is beyond
/// three times the tolerance fails. The CPU, and the emulated device, which computes like it, are held to the
/// tolerance.
class Distances {
 public:
  Distances(std::string subject, double tolerance, bool is_real_device, std::ostream& out = std::cout)
      : subject_(std::move(subject)), tolerance_(tolerance), is_real_(is_real_device), out_(out) {}
  Distances(const Distances&) = delete;
  Distances& operator=(const Distances&) = delete;
  ~Distances() {
    if (!is_real_ || where_.empty()) return;
    out_ << "parity: " << subject_ << ": at most " << largest_ << " from PyTorch's (" << where_
         << "), the CPU may be " << tolerance_ << std::endl;
  }

  /// Whether it is allowed.
  bool add(double distance, const std::string& where) {
    if (where_.empty() || !(distance <= largest_)) {
      largest_ = distance;
      where_ = where;
    }
    return distance <= (is_real_ ? 3 * tolerance_ : tolerance_);
  }
  void check(const Tensor& found, const Tensor& wanted, const std::string& what) {
    const double distance = test::relative_distance(found, wanted);
    INFO(what << " is " << distance << " from PyTorch's, wanted " << tolerance_);
    CHECK(add(distance, what));
  }

 private:
  std::string subject_, where_;
  double tolerance_, largest_ = 0;
  bool is_real_;
  std::ostream& out_;
};

class Golden {
 public:
  explicit Golden(const std::string& name)
      : file_(read_safetensors(golden_folder() + "/" + name + ".safetensors")) {}

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

/// The variant with the stored weights: each has its place, and each place its stored weight.
std::unique_ptr<Model> load(const test::Variant& variant, const Golden& golden, Dtype dtype) {
  std::unique_ptr<Model> model = variant.make(/*seed=*/1);
  size_t loaded = 0;
  const auto copy = [&](const std::string& path, Tensor destination) {
    destination.copy_from(golden["model." + path]);
    ++loaded;
  };
  for (const NamedParameter& parameter : named_parameters(*model)) {
    copy(parameter.path, parameter.variable.value());
  }
  for (const NamedBuffer& buffer : named_buffers(*model)) copy(buffer.path, buffer.tensor);
  REQUIRE(loaded == golden.count("model."));
  convert_to(*model, dtype);
  return model;
}

/// As images_of in make_golden.py: exact in every precision.
Tensor images_of(const Golden& golden, Dtype dtype) {
  const Tensor& pixels = golden["pixels"];
  Tensor images = Tensor::empty(pixels.shape(), Dtype::f32);
  for (int64_t i = 0; i < pixels.size(); ++i) {
    images.data<float>()[i] = static_cast<float>(pixels.data<uint8_t>()[i]) / 64 - 2;
  }
  return test::cast(images, dtype);
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

void check_first_pass(const test::Variant& variant, const Tolerances& tolerances, Device device) {
  INFO(variant.name << " in " << tolerances.dtype << " on " << device);
  const Golden golden(variant.name);
  const std::unique_ptr<Model> model = load(variant, golden, tolerances.dtype);
  move_to(*model, device);
  const Tensor images = images_of(golden, tolerances.dtype).to(device);

  const std::string subject = str(variant.name, " in ", tolerances.dtype, " on ", device);
  Distances logit_distances(subject + ", logits", tolerances.logits, is_real(device));
  Distances gradient_distances(subject + ", gradients and statistics", tolerances.gradients, is_real(device));

  model->train(false);
  logit_distances.check(model->forward(images).value(), golden["eval_logits"], "evaluation");

  model->train();
  const Variable logits = model->forward(images);
  logit_distances.check(logits.value(), golden["train_logits"], "training");
  F::softmax_cross_entropy(logits, golden["labels"].to(device)).backward();
  for (const NamedParameter& parameter : named_parameters(*model)) {
    const Tensor& wanted = golden["gradient." + parameter.path];
    gradient_distances.check(parameter.variable.grad(), wanted, "gradient of " + parameter.path);
  }
  for (const NamedBuffer& buffer : named_buffers(*model)) {
    gradient_distances.check(buffer.tensor, golden["after." + buffer.path], buffer.path + " after one pass");
  }
}

TEST_CASE("parity: the attention maps are PyTorch's") {
  for (const test::Variant& variant : test::variants()) {
    const Golden golden(variant.name);
    if (golden.count("mask.") == 0) continue;
    INFO(variant.name);
    const std::unique_ptr<Model> model = load(variant, golden, Dtype::f32);
    const Tensor images = images_of(golden, Dtype::f32);
    const Shape one = images.shape().with(0, 1);
    const std::vector<AttentionMaps> maps = attention_maps(*model, images.slice(0, one));
    CHECK(maps.size() == golden.count("mask."));
    for (const AttentionMaps& of_module : maps) {
      INFO(of_module.path);
      CHECK(test::relative_distance(of_module.mask, golden["mask." + of_module.path]) < kSingle.logits);
      CHECK(test::relative_distance(of_module.trunk, golden["trunk." + of_module.path]) < kSingle.logits);
      CHECK(test::relative_distance(of_module.merged, golden["merged." + of_module.path]) < kSingle.logits);
    }
    CHECK(model->is_training());
  }
  const std::unique_ptr<Model> plain = make_model("preact-resnet164", {}, /*seed=*/1);
  CHECK_THROWS_AS(attention_maps(*plain, Tensor::zeros({1, 32, 32, 3})), UsageError);
}

TEST_CASE("parity: a real device may be three times as far as the CPU, and how far it is is told") {
  std::ostringstream out;
  {
    Distances on_cpu("a", 1e-5, /*is_real_device=*/false, out), on_device("b", 1e-5, true, out);
    CHECK(on_cpu.add(0.9e-5, "x"));
    CHECK_FALSE(on_cpu.add(1.1e-5, "x"));
    CHECK(on_device.add(2.9e-5, "x"));
    CHECK(on_device.add(1e-6, "y"));
    CHECK(out.str().empty());
  }
  CHECK(out.str() == "parity: b: at most 2.9e-05 from PyTorch's (x), the CPU may be 1e-05\n");
  Distances on_device("b", 1e-5, true, out);
  CHECK_FALSE(on_device.add(3.1e-5, "x"));
  CHECK_FALSE(on_device.add(std::nan(""), "x"));
}

TEST_CASE("parity: every variant gives PyTorch's logits, gradients and statistics in f32") {
  for (const Device device : test::devices()) {
    for (const test::Variant& variant : test::variants()) check_first_pass(variant, kSingle, device);
  }
}

TEST_CASE("parity: every variant gives PyTorch's logits, gradients and statistics in f64") {
  for (const test::Variant& variant : test::variants()) check_first_pass(variant, kDouble, Device::cpu());
}

/// Returns the loss.
double forward_backward(Model& model, const Golden& golden) {
  const Tensor images = images_of(golden, named_parameters(model)[0].variable.dtype());
  const Variable loss = F::softmax_cross_entropy(model.forward(images), golden["labels"]);
  loss.backward();
  return loss.value().item();
}

void copy_gradients(Model& from, Model& to) {
  const std::vector<NamedParameter> sources = named_parameters(from), destinations = named_parameters(to);
  for (size_t i = 0; i < sources.size(); ++i) {
    Tensor gradient = destinations[i].variable.grad();
    gradient.copy_from(test::cast(sources[i].variable.grad(), gradient.dtype()));
  }
}

// A narrow net with batch norm is chaotic: one ReLU that rounding flips sends the later losses of an f32 run
// apart (PyTorch's own as well). So the gradients of the f64 twin move both nets.
TEST_CASE("parity: ten steps of Nesterov SGD give PyTorch's losses in f64 and in f32") {
  for (const test::Variant& variant : test::variants()) {
    const Golden golden(variant.name);
    const std::unique_ptr<Model> single = load(variant, golden, Dtype::f32);
    const std::unique_ptr<Model> twin = load(variant, golden, Dtype::f64);
    OptimiserSettings settings;
    settings.momentum = kMomentum;
    settings.nesterov = true;
    settings.weight_decay = kWeightDecay;
    Optimiser optimiser(*single, settings);
    PlainSgd sgd(*twin);

    const std::vector<double> losses = golden["losses"].to_doubles();
    REQUIRE(losses.size() == 10);
    for (size_t i = 0; i < losses.size(); ++i) {
      INFO(variant.name << " after " << i << " steps");
      CHECK(forward_backward(*twin, golden) == Approx(losses[i]).epsilon(1e-5));
      CHECK(forward_backward(*single, golden) == Approx(losses[i]).epsilon(1e-4));
      copy_gradients(*twin, *single);
      optimiser.step(kLearningRate);
      optimiser.zero_grad();
      sgd.step();
    }
  }
}

}  // namespace
}  // namespace fovea
