#include "fovea/kernels/sgd.h"

#include "arena_check.h"
#include "fovea/core/parallel_for.h"
#include "fovea/core/random.h"

using namespace fovea;
using namespace fovea::test;

namespace {

/// Without scale, count of what is not finite, and copy.
void plain_step(const Tensor& gradient, const Tensor& rate, const kernels::SgdSettings& settings,
                Tensor& velocity, Tensor& weight) {
  Tensor copy;
  kernels::sgd_step(gradient, rate, /*gradient_scale=*/{}, /*non_finite=*/{}, settings, velocity, weight,
                    copy);
}

}  // namespace

TEST_CASE("sgd: two steps by hand") {
  kernels::SgdSettings settings{.momentum = 0.5, .weight_decay = 0.1, .nesterov = false, .decay_count = 1};
  const Tensor rate = Tensor::full({}, 0.25, Dtype::f64);
  const Tensor gradient = Tensor::from<double>({1, -3}, {2});
  const auto after_two_steps = [&] {
    Tensor velocity = Tensor::zeros({2}, Dtype::f64), weight = Tensor::from<double>({10, 20}, {2});
    plain_step(gradient, rate, settings, velocity, weight);
    plain_step(gradient, rate, settings, velocity, weight);
    return std::pair(weight, velocity);
  };

  // The first weight decays: g = 1 + 0.1 * 10 = 2, v = 2, w = 10 - 0.25 * 2 = 9.5;
  // then g = 1.95, v = 0.5 * 2 + 1.95 = 2.95, w = 9.5 - 0.25 * 2.95 = 8.7625.
  // The second does not: v = -3, w = 20.75; then v = -4.5, w = 21.875.
  const auto [weight, velocity] = after_two_steps();
  check_near(weight, {8.7625, 21.875});
  check_near(velocity, {2.95, -4.5});

  // Nesterov: w = 10 - 0.25 * (2 + 0.5 * 2) = 9.25; g = 1.925, v = 2.925, w = 9.25 - 0.25 * (1.925 + 1.4625).
  // The second: w = 20 + 0.25 * 4.5 = 21.125; v = -4.5, w = 21.125 + 0.25 * 5.25 = 22.4375.
  settings.nesterov = true;
  const auto [nesterov_weight, nesterov_velocity] = after_two_steps();
  check_near(nesterov_weight, {8.403125, 22.4375});
  check_near(nesterov_velocity, {2.925, -4.5});
}

TEST_CASE("sgd: decays the first elements alone, in f32 with the same bits for any number of threads") {
  constexpr int64_t kSize = 50001, kDecayCount = 12345;
  const kernels::SgdSettings settings{
      .momentum = 0.9, .weight_decay = 0.5, .nesterov = true, .decay_count = kDecayCount};
  const Tensor rate = Tensor::full({}, 0.1);
  const Tensor gradient = normal({kSize}, Random(1, Purpose::test));
  const Tensor start = normal({kSize}, Random(2, Purpose::test));
  const NoGrain no_grain;
  const int threads_before = num_threads();
  Tensor first;
  for (const int threads : {1, 2, 3, 8}) {
    set_num_threads(threads);
    Tensor velocity = Tensor::zeros({kSize}), weight = start.clone();
    plain_step(gradient, rate, settings, velocity, weight);
    if (!first.defined()) first = weight;
    CHECK(same_bits(weight, first));
  }
  set_num_threads(threads_before);

  std::vector<double> wanted;
  const std::vector<double> w = start.to_doubles(), dw = gradient.to_doubles();
  for (size_t i = 0; i < w.size(); ++i) {
    const double g = dw[i] + (i < kDecayCount ? 0.5 : 0) * w[i];
    wanted.push_back(w[i] - 0.1 * 1.9 * g);
  }
  check_near(first, wanted, 1e-6);
}

TEST_CASE("sgd: mixed precision, skipped steps, and the device") {
  for (const bool nesterov : {true, false}) {
    const kernels::SgdSettings settings{
        .momentum = 0.9, .weight_decay = 0.25, .nesterov = nesterov, .decay_count = 514};
    check_arena_step(/*moments=*/1, [&](ArenaStep& step) {
      kernels::sgd_step(step.gradient, step.learning_rate, step.gradient_scale, step.non_finite, settings,
                        step.moments[0], step.weight, step.copy);
    });
  }
}

TEST_CASE("sgd: errors") {
  const auto step = [](Dtype gradient, Dtype weight, Dtype copy, Device device) {
    Tensor velocity = Tensor::zeros({2}, weight, device), weights = velocity.clone();
    Tensor rounded = Tensor::zeros({2}, copy, device);
    kernels::sgd_step(Tensor::zeros({2}, gradient, device), Tensor::zeros({}, weight, device), {}, {}, {},
                      velocity, weights, rounded);
  };
  const Device cpu = Device::cpu(), cuda = Device::cuda();
  check_error("sgd", [&] { step(Dtype::bf16, Dtype::bf16, Dtype::bf16, cpu); });
  check_error("sgd", [&] { step(Dtype::bf16, Dtype::f64, Dtype::bf16, cpu); });
  check_error("sgd", [&] { step(Dtype::f32, Dtype::f32, Dtype::f32, cpu); });
  if (cuda_status().device_count == 0) return;
  check_error("sgd", [&] { step(Dtype::bf16, Dtype::bf16, Dtype::bf16, cuda); });
  check_error("sgd", [&] { step(Dtype::f64, Dtype::f64, Dtype::bf16, cuda); });
  check_error("sgd", [&] { step(Dtype::f64, Dtype::f32, Dtype::bf16, cuda); });
  check_error("sgd", [&] { step(Dtype::f32, Dtype::f32, Dtype::f32, cuda); });
}
