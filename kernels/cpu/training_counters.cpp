#include "fovea/kernels/training_counters.h"

#include <algorithm>

namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT {

void begin_step(const Tensor& rates, const Tensor& position, Tensor& rate) {
  visit_floating("begin_step", rates.dtype(),
                 [&]<class T>() { rate.data<T>()[0] = rates.data<T>()[position.data<int64_t>()[0]]; });
}

void record_step(const Tensor& loss, const Tensor& non_finite, const Tensor& correct, Tensor& position,
                 Tensor& losses, Tensor& failures, Tensor& corrects) {
  const int64_t i = position.data<int64_t>()[0]++;
  failures.data<int64_t>()[i] = non_finite.data<int64_t>()[0];
  corrects.data<int64_t>()[i] = correct.data<int64_t>()[0];
  visit_floating("record_step", loss.dtype(), [&]<class T>() { losses.data<T>()[i] = loss.data<T>()[0]; });
}

void count_step(const Tensor& non_finite, Tensor& steps) {
  if (!non_finite.defined() || non_finite.data<int64_t>()[0] == 0) ++steps.data<int64_t>()[0];
}

void settle_step(const Tensor& non_finite, Tensor& x, Tensor& before) {
  if (non_finite.data<int64_t>()[0] == 0) {
    before.copy_from(x);
  } else {
    x.copy_from(before);
  }
}

void update_loss_scale(int64_t patience, const Tensor& non_finite_losses, Tensor& scale, Tensor& inverse,
                       Tensor& good_steps, Tensor& non_finite) {
  if (non_finite_losses.data<int64_t>()[0] != 0) return;
  float& value = scale.data<float>()[0];
  int64_t& good = good_steps.data<int64_t>()[0];
  if (non_finite.data<int64_t>()[0] != 0) {
    value = std::max(value / 2, 1.0f);
    good = 0;
  } else if (++good == patience) {
    value *= 2;
    good = 0;
  }
  inverse.data<float>()[0] = 1 / value;
  non_finite.data<int64_t>()[0] = 0;
}

}  // namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT
