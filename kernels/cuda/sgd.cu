#include "fovea/kernels/sgd.h"

#include "fovea/kernels/cuda/arena.h"

namespace fovea::kernels::cuda {
namespace {

struct SgdRule {
  float momentum;
  bool nesterov;

  __device__ SgdRule prepared() const { return *this; }

  __device__ void operator()(float rate, float decay, float gradient, float& weight,
                             float (&velocity)[1]) const {
    const float g = gradient + decay * weight;
    velocity[0] = momentum * velocity[0] + g;
    weight -= rate * (nesterov ? g + momentum * velocity[0] : velocity[0]);
  }
};

}  // namespace

void sgd_step(const Tensor& gradient, const Tensor& learning_rate, const Tensor& gradient_scale,
              const Tensor& non_finite, const SgdSettings& settings, Tensor& velocity, Tensor& weight,
              Tensor& copy) {
  const SgdRule rule{static_cast<float>(settings.momentum), settings.nesterov};
  update_arena("sgd", rule, settings.decay_count, settings.weight_decay, gradient, learning_rate,
               gradient_scale, non_finite, weight, copy, velocity);
}

}  // namespace fovea::kernels::cuda
