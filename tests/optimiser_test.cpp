#include "fovea/training/optimiser.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "fovea/core/check.h"
#include "fovea/core/random.h"
#include "fovea/layers/functional.h"
#include "fovea/training/precision.h"
#include "op_test.h"

namespace fovea {
namespace {

/// A matrix, a vector between, and a frozen one.
struct ThreeParameters : Module {
  explicit ThreeParameters(uint32_t stream)
      : bias(normal({5}, Random(1, Purpose::test, stream, 0)), true),
        weight(normal({3, 7}, Random(1, Purpose::test, stream, 1)), true),
        frozen(normal({4}, Random(1, Purpose::test, stream, 2)), false) {}

  void visit(Visitor& v) override {
    v("bias", bias);
    v("weight", weight);
    v("frozen", frozen);
  }

  Variable bias, weight, frozen;
};

/// Sends a gradient, new for each step, to a parameter; returns it.
std::vector<double> send_gradient(const Variable& parameter, uint32_t step, Device device = Device::cpu()) {
  const Tensor gradient =
      test::cast(normal(parameter.shape(), Random(2, Purpose::test, step, 0)), parameter.dtype());
  F::sum(F::mul(parameter, gradient.to(device))).backward();
  return gradient.to_doubles();
}

TEST_CASE("optimiser: a step between forward and backward is an error where the gradient needs old weights") {
  ThreeParameters module(0);
  Optimiser optimiser(module, {});
  optimiser.zero_grad();
  send_gradient(module.weight, 0);
  const Variable stale = F::sum(F::mul(module.weight, module.weight)), fresh = F::sum(module.weight);
  optimiser.step(0.1);
  CHECK_THROWS_WITH(stale.backward(), Catch::Contains("mul needs f32[3, 7] as it was in the forward pass"));
  CHECK_NOTHROW(fresh.backward());
  CHECK_NOTHROW(F::sum(F::mul(module.weight, module.weight)).backward());
}

TEST_CASE("optimiser: SGD as PyTorch defines it") {
  const bool nesterov = GENERATE(false, true);
  const bool decay_norm_and_bias = GENERATE(false, true);
  ThreeParameters module(0);
  std::vector<double> frozen = module.frozen.value().to_doubles();
  std::vector<double> w[2] = {module.bias.value().to_doubles(), module.weight.value().to_doubles()}, v[2];
  Optimiser optimiser(module, {.momentum = 0.8,
                               .nesterov = nesterov,
                               .weight_decay = 0.1,
                               .decay_norm_and_bias = decay_norm_and_bias});
  for (uint32_t step = 0; step < 4; ++step) {
    const double rate = 0.1 / (step + 1);
    optimiser.zero_grad();
    const std::vector<double> gradients[2] = {send_gradient(module.bias, step),
                                              send_gradient(module.weight, step)};
    optimiser.step(rate);
    for (int p = 0; p < 2; ++p) {
      v[p].resize(w[p].size());
      const double decay = p == 1 || decay_norm_and_bias ? 0.1 : 0;
      for (size_t i = 0; i < w[p].size(); ++i) {
        const double g = gradients[p][i] + decay * w[p][i];
        v[p][i] = 0.8 * v[p][i] + g;
        w[p][i] -= rate * (nesterov ? g + 0.8 * v[p][i] : v[p][i]);
      }
      const std::vector<double> found = (p == 0 ? module.bias : module.weight).value().to_doubles();
      for (size_t i = 0; i < w[p].size(); ++i) CHECK(found[i] == Approx(w[p][i]).margin(1e-6));
    }
  }
  CHECK(module.frozen.value().to_doubles() == frozen);
  CHECK(optimiser.steps() == 4);
}

TEST_CASE("optimiser: AdamW as PyTorch defines it") {
  ThreeParameters module(0);
  std::vector<double> w = module.weight.value().to_doubles(), mean(w.size()), square(w.size());
  Optimiser optimiser(module, {.kind = OptimiserKind::adamw, .weight_decay = 0.2});
  for (uint32_t step = 0; step < 4; ++step) {
    optimiser.zero_grad();
    const std::vector<double> gradient = send_gradient(module.weight, step);
    optimiser.step(0.05);
    for (size_t i = 0; i < w.size(); ++i) {
      mean[i] = 0.9 * mean[i] + 0.1 * gradient[i];
      square[i] = 0.999 * square[i] + 0.001 * gradient[i] * gradient[i];
      w[i] -= 0.05 * 0.2 * w[i];
      w[i] -= 0.05 * mean[i] / (1 - std::pow(0.9, step + 1)) /
              (std::sqrt(square[i] / (1 - std::pow(0.999, step + 1))) + 1e-8);
      CHECK(module.weight.value().to_doubles()[i] == Approx(w[i]).margin(1e-5));
    }
  }
}

TEST_CASE("optimiser: Muon for matrices as PyTorch defines it, SGD for the rest") {
  const bool nesterov = GENERATE(false, true);
  for (const Device device : test::devices()) {
    INFO(device);
    ThreeParameters module(0);
    move_to(module, device);
    std::vector<double> bias = module.bias.value().to_doubles(), velocity(bias.size());
    Tensor weight = test::cast(module.weight.value().to(Device::cpu()), Dtype::f64).clone();
    Tensor momentum = Tensor::zeros_like(weight);
    Optimiser optimiser(module, {.kind = OptimiserKind::muon,
                                 .momentum = 0.8,
                                 .nesterov = nesterov,
                                 .weight_decay = 0.1,
                                 .decay_norm_and_bias = false,
                                 .vector_rate = 3});
    for (uint32_t step = 0; step < 4; ++step) {
      const double rate = 0.1 / (step + 1);
      optimiser.zero_grad();
      const std::vector<double> bias_gradient = send_gradient(module.bias, step, device);
      const std::vector<double> gradient = send_gradient(module.weight, step, device);
      optimiser.step(rate);
      Tensor update = Tensor::zeros_like(weight);
      for (size_t i = 0; i < gradient.size(); ++i) {
        double& m = momentum.data<double>()[i];
        m += (1 - 0.8) * (gradient[i] - m);
        update.data<double>()[i] = nesterov ? gradient[i] + 0.8 * (m - gradient[i]) : m;
      }
      kernels::orthogonalise(std::vector<kernels::MatrixPlace>{{0, 3, 7}}, {}, update);
      for (size_t i = 0; i < gradient.size(); ++i) {
        double& w = weight.data<double>()[i];
        w = (1 - rate * 0.1) * w - rate * update.data<double>()[i];
      }
      for (size_t i = 0; i < bias.size(); ++i) {
        velocity[i] = 0.8 * velocity[i] + bias_gradient[i];
        bias[i] -= 3 * rate * (nesterov ? bias_gradient[i] + 0.8 * velocity[i] : velocity[i]);
      }
      test::check_near(module.weight.value().to(Device::cpu()), weight.to_doubles(), 1e-5);
      test::check_near(module.bias.value().to(Device::cpu()), bias, 1e-5);
    }
  }
}

TEST_CASE("optimiser: a step of Muon that is not finite changes nothing") {
  for (const Device device : test::devices()) {
    ThreeParameters module(0);
    move_to(module, device);
    Optimiser optimiser(module, {.kind = OptimiserKind::muon}, Dtype::bf16);
    const std::vector<double> weight = module.weight.value().to_doubles();
    const auto step = [&](int64_t non_finite) {
      optimiser.zero_grad();
      send_gradient(module.weight, 0, device);
      optimiser.step(Tensor::full({}, 0.5, Dtype::f32, device), Tensor(),
                     Tensor::from<int64_t>({non_finite}, {}).to(device));
    };
    step(1);
    CHECK(module.weight.value().to_doubles() == weight);
    CHECK(optimiser.steps() == 0);
    step(0);
    CHECK(module.weight.value().to_doubles() != weight);
  }
}

TEST_CASE("optimiser: gradients are scaled to the largest norm that is wanted, all together") {
  const bool has_copies = GENERATE(false, true);
  const auto step_of = [&](double clip_norm, double scale) {
    ThreeParameters module(0);
    Optimiser optimiser(module, {.momentum = 0, .nesterov = false, .weight_decay = 0, .clip_norm = clip_norm},
                        has_copies ? Dtype::bf16 : Dtype::f32);
    const std::vector<NamedTensor> weights = optimiser.weights();
    std::vector<double> before = weights[1].tensor.to_doubles();
    double squares = 0;
    for (const double g : send_gradient(module.bias, 0)) squares += scale * g * scale * g;
    for (const double g : send_gradient(module.weight, 0)) squares += scale * g * scale * g;
    optimiser.step(Tensor::full({}, 1), Tensor::full({}, scale), Tensor());
    for (size_t i = 0; i < before.size(); ++i) before[i] -= weights[1].tensor.to_doubles()[i];
    return std::pair(before, std::sqrt(squares));
  };
  const auto [whole, norm] = step_of(0, 0.5);
  CHECK(step_of(norm + 1, 0.5).first == whole);
  const std::vector<double> clipped = step_of(norm / 4, 0.5).first;
  for (size_t i = 0; i < whole.size(); ++i) CHECK(clipped[i] == Approx(whole[i] / 4).margin(1e-6));
}

TEST_CASE("optimiser: a parameter that received no gradient has gradient zero") {
  ThreeParameters module(0);
  Optimiser optimiser(module, {.momentum = 0, .nesterov = false, .weight_decay = 0});
  send_gradient(module.bias, 0);
  send_gradient(module.weight, 0);
  optimiser.step(0.1);
  optimiser.zero_grad();
  const std::vector<double> bias = module.bias.value().to_doubles(),
                            weight = module.weight.value().to_doubles();
  send_gradient(module.weight, 1);
  optimiser.step(0.1);
  CHECK(module.bias.value().to_doubles() == bias);
  CHECK(module.weight.value().to_doubles() != weight);
}

TEST_CASE("optimiser: its state goes on where it was, in whatever order the parameters lie") {
  const OptimiserKind kind = GENERATE(OptimiserKind::sgd, OptimiserKind::adamw, OptimiserKind::muon);
  const auto settings = [&](bool decay_norm_and_bias) {
    return OptimiserSettings{.kind = kind, .weight_decay = 0, .decay_norm_and_bias = decay_norm_and_bias};
  };
  const auto steps = [](ThreeParameters& module, Optimiser& optimiser, uint32_t begin, uint32_t end) {
    for (uint32_t step = begin; step < end; ++step) {
      optimiser.zero_grad();
      send_gradient(module.bias, step);
      send_gradient(module.weight, step);
      optimiser.step(0.1);
    }
  };
  ThreeParameters straight(0);
  Optimiser straight_optimiser(straight, settings(true));
  steps(straight, straight_optimiser, 0, 3);

  ThreeParameters other(1);
  Optimiser other_optimiser(other, settings(false));
  steps(other, other_optimiser, 0, 1);
  other.bias.value().copy_from(straight.bias.value());
  other.weight.value().copy_from(straight.weight.value());
  other_optimiser.load_state(straight_optimiser.state(), "test");
  CHECK(other_optimiser.steps() == 3);

  steps(straight, straight_optimiser, 3, 6);
  steps(other, other_optimiser, 3, 6);
  CHECK(other.bias.value().to_doubles() == straight.bias.value().to_doubles());
  CHECK(other.weight.value().to_doubles() == straight.weight.value().to_doubles());
}

TEST_CASE("optimiser: a state that does not fit changes nothing") {
  ThreeParameters module(0);
  Optimiser optimiser(module, {});
  send_gradient(module.bias, 0);
  optimiser.step(0.1);
  std::vector<NamedTensor> state;
  for (const NamedTensor& entry : optimiser.state()) {
    state.push_back({entry.name, Tensor::zeros_like(entry.tensor)});
  }
  REQUIRE(state.size() == 3);
  REQUIRE(state[1].name == "momentum.weight");
  const auto check_refused = [&](const std::vector<NamedTensor>& bad, const std::string& reason) {
    const std::vector<double> before = optimiser.state()[0].tensor.to_doubles();
    CHECK_THROWS_WITH(optimiser.load_state(bad, "file"), Catch::Contains(reason) && Catch::Contains("file"));
    CHECK(optimiser.state()[0].tensor.to_doubles() == before);
    CHECK(optimiser.steps() == 1);
  };
  check_refused({state[0], state[2]}, "1 tensor is missing (momentum.weight)");
  check_refused({}, "3 tensors are missing (momentum.bias, momentum.weight, steps)");
  std::vector<NamedTensor> bad = state;
  bad.push_back({"momentum.other", Tensor::zeros({1})});
  check_refused(bad, "1 tensor is unexpected (momentum.other)");
  bad = state;
  bad[1].tensor = Tensor::zeros({7, 3});
  check_refused(bad, "momentum.weight: found f32[7, 3], wanted f32[3, 7]");
  bad[1].tensor = Tensor::zeros({3, 7}, Dtype::f64);
  check_refused(bad, "momentum.weight: found f64[3, 7]");

  ThreeParameters other(1);
  Optimiser adamw(other, {.kind = OptimiserKind::adamw});
  CHECK_THROWS_AS(adamw.load_state(state, "file"), CheckpointError);
}

TEST_CASE("optimiser: names the gradient that is not finite") {
  ThreeParameters module(0);
  Optimiser optimiser(module, {});
  const auto send = [&](Variable& parameter, float value) {
    Tensor dy = Tensor::full(parameter.shape(), 1);
    dy.data<float>()[3] = value;
    F::sum(F::mul(parameter, dy)).backward();
  };
  send(module.bias, 1);
  send(module.weight, 1);
  CHECK(optimiser.non_finite_gradient().empty());
  send(module.bias, std::nanf(""));
  CHECK(optimiser.non_finite_gradient() == "bias");
  send(module.weight, std::numeric_limits<float>::infinity());
  CHECK(optimiser.non_finite_gradient() == "weight");
}

TEST_CASE("optimiser: a parameter that its layer wants in f32 is no 16-bit copy, nor rounded for inference") {
  struct Scaled : Module {
    Variable scale{Tensor::full({4}, 1 + 0x1p-12), true}, weight{Tensor::full({4}, 1 + 0x1p-12), true};
    void visit(Visitor& v) override {
      v("scale", scale, StaysF32());
      v("weight", weight);
    }
  } module;
  {
    const Optimiser optimiser(module, {}, Dtype::bf16);
    CHECK(module.scale.dtype() == Dtype::f32);
    CHECK(module.weight.dtype() == Dtype::bf16);
  }
  CHECK(module.weight.dtype() == Dtype::f32);
  set_precision(module, Precision::bf16);
  CHECK(module.scale.value().to_doubles() == std::vector<double>(4, 1 + 0x1p-12));
  CHECK(module.weight.dtype() == Dtype::bf16);
  CHECK(module.weight.value().to_doubles() == std::vector<double>(4, 1));
}

TEST_CASE("optimiser: what it refuses") {
  ThreeParameters module(0);
  for (const OptimiserSettings& settings :
       {OptimiserSettings{.momentum = 1}, OptimiserSettings{.momentum = -0.1},
        OptimiserSettings{.weight_decay = -1}, OptimiserSettings{.weight_decay = std::nan("")},
        OptimiserSettings{.beta1 = 1}, OptimiserSettings{.beta2 = 1}, OptimiserSettings{.epsilon = 0},
        OptimiserSettings{.vector_rate = -1}, OptimiserSettings{.clip_norm = -1}}) {
    CHECK_THROWS_AS(Optimiser(module, settings), UsageError);
  }
  CHECK(parse_enum<OptimiserKind>("adamw") == OptimiserKind::adamw);
  CHECK(name_of(parse_enum<OptimiserKind>("sgd")) == std::string("sgd"));
  CHECK_THROWS_AS(parse_enum<OptimiserKind>("adam"), UsageError);

  Optimiser optimiser(module, {});
  module.weight.value() = module.weight.value().clone();
  CHECK_THROWS_WITH(optimiser.step(0.1), Catch::Contains("parameter weight is no longer where"));
  module.bias.set_requires_grad(false);
  module.weight.set_requires_grad(false);
  CHECK_THROWS_AS(Optimiser(module, {}), Error);
}

}  // namespace
}  // namespace fovea
