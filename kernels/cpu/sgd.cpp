#include "fovea/kernels/sgd.h"

#include "fovea/kernels/cpu/arena.h"

namespace fovea::kernels::cpu {

void sgd_step(const Tensor& gradient, const Tensor& learning_rate, const SgdSettings& settings,
              Tensor& velocity, Tensor& weight) {
  visit_arena("sgd", weight.dtype(), [&]<class A>() {
    const A* const gradients = gradient.data<A>();
    A* const velocities = velocity.data<A>();
    A* const weights = weight.data<A>();
    const A rate = learning_rate.data<A>()[0], momentum = static_cast<A>(settings.momentum);
    const bool nesterov = settings.nesterov;
    const auto update = [=](int64_t begin, int64_t end, A decay) {
#pragma omp simd
      for (int64_t i = begin; i < end; ++i) {
        const A g = gradients[i] + decay * weights[i];
        const A v = momentum * velocities[i] + g;
        velocities[i] = v;
        weights[i] -= rate * (nesterov ? g + momentum * v : v);
      }
    };
    parallel_for_arena(weight.size(), settings.decay_count, static_cast<A>(settings.weight_decay), update);
  });
}

}  // namespace fovea::kernels::cpu
