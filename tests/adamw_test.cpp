#include "fovea/kernels/adamw.h"

#include <cmath>

#include "arena_check.h"
#include "fovea/core/parallel_for.h"
#include "fovea/core/random.h"

using namespace fovea;
using namespace fovea::test;

namespace {

/// Without scale, count of what is not finite, and copy.
void plain_step(const Tensor& gradient, const Tensor& rate, int64_t step,
                const kernels::AdamwSettings& settings, Tensor& mean, Tensor& square, Tensor& weight) {
  Tensor copy;
  kernels::adamw_step(gradient, rate, Tensor::from<int64_t>({step}, {}), /*gradient_scale=*/{},
                      /*non_finite=*/{}, settings, mean, square, weight, copy);
}

}  // namespace

TEST_CASE("adamw: two steps by hand") {
  const kernels::AdamwSettings settings{
      .beta1 = 0.5, .beta2 = 0.75, .epsilon = 1, .weight_decay = 0.1, .decay_count = 1};
  const Tensor rate = Tensor::full({}, 0.5, Dtype::f64);
  Tensor mean = Tensor::zeros({2}, Dtype::f64), square = Tensor::zeros({2}, Dtype::f64);
  Tensor weight = Tensor::from<double>({10, 20}, {2});

  // Step 1: without bias the moments are the gradient and its square. The first weight decays by 0.5 * 0.1.
  plain_step(Tensor::from<double>({2, -4}, {2}), rate, /*step=*/1, settings, mean, square, weight);
  check_near(mean, {1, -2});
  check_near(square, {1, 4});
  check_near(weight, {9.5 - 0.5 * 2 / (2 + 1), 20 + 0.5 * 4 / (4 + 1)});

  // Step 2: 1 - beta1^2 = 3/4, 1 - beta2^2 = 7/16.
  const std::vector<double> before = weight.to_doubles();
  plain_step(Tensor::from<double>({6, 0}, {2}), rate, /*step=*/2, settings, mean, square, weight);
  check_near(mean, {3.5, -1});
  check_near(square, {9.75, 3});
  const double first = (3.5 / 0.75) / (std::sqrt(9.75 / 0.4375) + 1);
  const double second = (-1 / 0.75) / (std::sqrt(3 / 0.4375) + 1);
  check_near(weight, {before[0] * 0.95 - 0.5 * first, before[1] - 0.5 * second});
}

TEST_CASE("adamw: decays the first elements alone, in f32 with the same bits for any number of threads") {
  constexpr int64_t kSize = 50001, kDecayCount = 12345;
  const kernels::AdamwSettings settings{.weight_decay = 0.5, .decay_count = kDecayCount};
  const Tensor rate = Tensor::full({}, 0.1);
  const Tensor gradient = normal({kSize}, Random(1, Purpose::test));
  const Tensor start = normal({kSize}, Random(2, Purpose::test));
  const NoGrain no_grain;
  const int threads_before = num_threads();
  Tensor first;
  for (const int threads : {1, 2, 3, 8}) {
    set_num_threads(threads);
    Tensor mean = Tensor::zeros({kSize}), square = Tensor::zeros({kSize}), weight = start.clone();
    plain_step(gradient, rate, /*step=*/1, settings, mean, square, weight);
    if (!first.defined()) first = weight;
    CHECK(same_bits(weight, first));
  }
  set_num_threads(threads_before);

  // The first step of a fresh AdamW goes by the learning rate against the sign of the gradient.
  std::vector<double> wanted;
  const std::vector<double> w = start.to_doubles(), dw = gradient.to_doubles();
  for (size_t i = 0; i < w.size(); ++i) {
    wanted.push_back(w[i] * (i < kDecayCount ? 0.95 : 1) - 0.1 * dw[i] / (std::abs(dw[i]) + 1e-8));
  }
  check_near(first, wanted, 1e-6);
}

TEST_CASE("adamw: mixed precision, skipped steps, and the device") {
  // The corrections for the moments' start: far from 1, near it, none of it left, and without moments.
  struct Example {
    int64_t step;
    double beta1, beta2;
  };
  for (const Example& e : {Example{1, 0.9, 0.999}, {7, 0.9, 0.999}, {1000000, 0.9, 0.999}, {1, 0, 0}}) {
    INFO("step " << e.step << ", beta1 " << e.beta1);
    const kernels::AdamwSettings settings{
        .beta1 = e.beta1, .beta2 = e.beta2, .weight_decay = 0.25, .decay_count = 514};
    check_arena_step(/*moments=*/2, [&](ArenaStep& step) {
      const Tensor number = Tensor::from<int64_t>({e.step}, {}).to(step.weight.device());
      kernels::adamw_step(step.gradient, step.learning_rate, number, step.gradient_scale, step.non_finite,
                          settings, step.moments[0], step.moments[1], step.weight, step.copy);
    });
  }
}

TEST_CASE("adamw: errors") {
  const auto step = [](Dtype gradient, Dtype weight, Device device) {
    Tensor mean = Tensor::zeros({2}, weight, device), square = mean.clone(), weights = mean.clone(), copy;
    kernels::adamw_step(Tensor::zeros({2}, gradient, device), Tensor::zeros({}, weight, device),
                        Tensor::from<int64_t>({1}, {}).to(device), {}, {}, {}, mean, square, weights, copy);
  };
  check_error("adamw", [&] { step(Dtype::f16, Dtype::f16, Device::cpu()); });
  check_error("adamw", [&] { step(Dtype::f16, Dtype::f64, Device::cpu()); });
  if (cuda_status().device_count == 0) return;
  check_error("adamw", [&] { step(Dtype::f16, Dtype::f16, Device::cuda()); });
  check_error("adamw", [&] { step(Dtype::f64, Dtype::f64, Device::cuda()); });
}
