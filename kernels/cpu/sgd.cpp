#include "fovea/kernels/sgd.h"

#include "fovea/kernels/cpu/arena.h"

namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT {

void sgd_step(const Tensor& gradient, const Tensor& learning_rate, const Tensor& gradient_scale,
              const Tensor& non_finite, const SgdSettings& settings, Tensor& velocity, Tensor& weight,
              Tensor& copy) {
  visit_arena("sgd", weight.dtype(), gradient.dtype(), [&]<class A, class G>() {
    const G* const gradients = gradient.data<G>();
    A* const velocities = velocity.data<A>();
    A* const weights = weight.data<A>();
    const A rate = *learning_rate.data<A>(), scale = scalar_or<A>(gradient_scale, 1);
    const A momentum = static_cast<A>(settings.momentum);
    const bool nesterov = settings.nesterov;
    const auto update = [=](int64_t begin, int64_t end, A decay) {
#pragma omp simd
      for (int64_t i = begin; i < end; ++i) {
        const A g = scale * static_cast<A>(gradients[i]) + decay * weights[i];
        const A v = momentum * velocities[i] + g;
        velocities[i] = v;
        weights[i] -= rate * (nesterov ? g + momentum * v : v);
      }
    };
    update_arena("sgd", settings.decay_count, static_cast<A>(settings.weight_decay), non_finite, weight, copy,
                 update);
  });
}

}  // namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT
