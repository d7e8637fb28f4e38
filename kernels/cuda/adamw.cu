#include "fovea/kernels/adamw.h"

#include <cmath>

#include "fovea/kernels/cuda/arena.h"

namespace fovea::kernels::cuda {
namespace {

struct AdamwUpdate {
  float beta1, beta2, new1, new2, epsilon;
  float mean_scale, root_scale;  // 1 / (1 - beta1^step), 1 / sqrt(1 - beta2^step)

  __device__ void operator()(float rate, float decay, float gradient, float& weight,
                             float (&moments)[2]) const {
    const float mean = beta1 * moments[0] + new1 * gradient;
    const float square = beta2 * moments[1] + new2 * gradient * gradient;
    moments[0] = mean;
    moments[1] = square;
    const float kept = weight - rate * decay * weight;
    weight = kept - rate * (mean * mean_scale) / (sqrtf(square) * root_scale + epsilon);
  }
};

struct AdamwRule {
  AdamwUpdate update;
  float log_beta1, log_beta2;
  const int64_t* step;

  /// 1 - beta^step is exact to some units of the last place as -expm1(step * log(beta)), where its difference
  /// from 1 would lose digits; and it needs no f64, which many devices are slow at.
  __device__ AdamwUpdate prepared() const {
    const float number = static_cast<float>(*step);
    AdamwUpdate result = update;
    result.mean_scale = -1.0f / expm1f(number * log_beta1);
    result.root_scale = 1.0f / sqrtf(-expm1f(number * log_beta2));
    return result;
  }
};

}  // namespace

void adamw_step(const Tensor& gradient, const Tensor& learning_rate, const Tensor& step,
                const Tensor& gradient_scale, const Tensor& non_finite, const AdamwSettings& settings,
                Tensor& mean, Tensor& square, Tensor& weight, Tensor& copy) {
  AdamwRule rule{};
  rule.update.beta1 = static_cast<float>(settings.beta1);
  rule.update.beta2 = static_cast<float>(settings.beta2);
  rule.update.new1 = static_cast<float>(1.0 - settings.beta1);
  rule.update.new2 = static_cast<float>(1.0 - settings.beta2);
  rule.update.epsilon = static_cast<float>(settings.epsilon);
  rule.log_beta1 = static_cast<float>(std::log(settings.beta1));
  rule.log_beta2 = static_cast<float>(std::log(settings.beta2));
  rule.step = step.data<int64_t>();
  update_arena("adamw", rule, settings.decay_count, settings.weight_decay, gradient, learning_rate,
               gradient_scale, non_finite, weight, copy, mean, square);
}

}  // namespace fovea::kernels::cuda
