#include "fovea/kernels/sigmoid.h"

#include "fovea/kernels/cpu/elements.h"
#include "fovea/kernels/cpu/exp.h"

namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT {

void sigmoid_forward(const Tensor& x, Tensor& y) {
  visit_floating("sigmoid", x.dtype(), [&]<class T>() {
    map_elements(
        x.size(), y.data<T>(), [](auto value) { return sigmoid(value); }, x.data<T>());
  });
}

void sigmoid_backward(const Tensor& dy, const Tensor& y, Tensor& dx) {
  visit_floating("sigmoid", dy.dtype(), [&]<class T>() {
    using A = Accumulator<T>;
    const auto slope = [](A gradient, A output) { return gradient * output * (A(1) - output); };
    map_elements(dy.size(), dx.data<T>(), slope, dy.data<T>(), y.data<T>());
  });
}

}  // namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT
