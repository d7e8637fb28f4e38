#include "fovea/kernels/relu.h"

#include "fovea/kernels/cpu/elements.h"

namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT {

void relu_forward(const Tensor& x, Tensor& y) {
  visit_floating("relu", x.dtype(), [&]<class T>() {
    using A = Accumulator<T>;
    const auto rectified = [](A value) { return value < A(0) ? A(0) : value; };
    map_elements(x.size(), y.data<T>(), rectified, x.data<T>());
  });
}

void relu_backward(const Tensor& dy, const Tensor& y, Tensor& dx) {
  visit_floating("relu", dy.dtype(), [&]<class T>() {
    using A = Accumulator<T>;
    const auto passed = [](A gradient, A output) { return output <= A(0) ? A(0) : gradient; };
    map_elements(dy.size(), dx.data<T>(), passed, dy.data<T>(), y.data<T>());
  });
}

}  // namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT
