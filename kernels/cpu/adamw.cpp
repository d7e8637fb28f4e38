#include "fovea/kernels/adamw.h"

#include <cmath>

#include "fovea/kernels/cpu/arena.h"

namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT {

void adamw_step(const Tensor& gradient, const Tensor& learning_rate, const Tensor& step,
                const Tensor& gradient_scale, const Tensor& non_finite, const AdamwSettings& settings,
                Tensor& mean, Tensor& square, Tensor& weight, Tensor& copy) {
  visit_arena("adamw", weight.dtype(), gradient.dtype(), [&]<class A, class G>() {
    const G* const gradients = gradient.data<G>();
    A* const means = mean.data<A>();
    A* const squares = square.data<A>();
    A* const weights = weight.data<A>();
    const double number = static_cast<double>(*step.data<int64_t>());
    const A rate = *learning_rate.data<A>(), scale = scalar_or<A>(gradient_scale, 1);
    const A beta1 = static_cast<A>(settings.beta1), beta2 = static_cast<A>(settings.beta2);
    const A new1 = static_cast<A>(1.0 - settings.beta1), new2 = static_cast<A>(1.0 - settings.beta2);
    const A mean_scale = static_cast<A>(1.0 / (1.0 - std::pow(settings.beta1, number)));
    const A root_scale = static_cast<A>(1.0 / std::sqrt(1.0 - std::pow(settings.beta2, number)));
    const A epsilon = static_cast<A>(settings.epsilon);
    const auto update = [=](int64_t begin, int64_t end, A decay) {
#pragma omp simd
      for (int64_t i = begin; i < end; ++i) {
        const A g = scale * static_cast<A>(gradients[i]);
        const A m = beta1 * means[i] + new1 * g;
        const A s = beta2 * squares[i] + new2 * g * g;
        means[i] = m;
        squares[i] = s;
        const A kept = weights[i] - rate * decay * weights[i];
        weights[i] = kept - rate * (m * mean_scale) / (std::sqrt(s) * root_scale + epsilon);
      }
    };
    update_arena("adamw", settings.decay_count, static_cast<A>(settings.weight_decay), non_finite, weight,
                 copy, update);
  });
}

}  // namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT
