#include "fovea/kernels/concat.h"

#include <cstring>

#include "fovea/kernels/cpu/rows.h"

namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT {

void concat_forward(const Tensor& x, int64_t offset, Tensor& y) {
  const size_t element = size_of(x.dtype()), I = static_cast<size_t>(x.shape(1)) * element;
  const size_t J = static_cast<size_t>(y.shape(1)) * element, start = static_cast<size_t>(offset) * element;
  if (I == 0) return;
  const auto* const from = static_cast<const std::byte*>(x.raw());
  auto* const to = static_cast<std::byte*>(y.raw()) + start;
  parallel_for_rows(x.shape(0), x.shape(1), [=](int64_t o) {
    std::memcpy(to + static_cast<size_t>(o) * J, from + static_cast<size_t>(o) * I, I);
  });
}

void concat_backward(const Tensor& dy, int64_t offset, Tensor& dx) {
  const size_t element = size_of(dx.dtype()), I = static_cast<size_t>(dx.shape(1)) * element;
  const size_t J = static_cast<size_t>(dy.shape(1)) * element, start = static_cast<size_t>(offset) * element;
  if (I == 0) return;
  const auto* const from = static_cast<const std::byte*>(dy.raw()) + start;
  auto* const to = static_cast<std::byte*>(dx.raw());
  parallel_for_rows(dx.shape(0), dx.shape(1), [=](int64_t o) {
    std::memcpy(to + static_cast<size_t>(o) * I, from + static_cast<size_t>(o) * J, I);
  });
}

}  // namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT
