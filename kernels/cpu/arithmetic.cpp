#include "fovea/kernels/arithmetic.h"

#include "fovea/core/autograd.h"
#include "fovea/kernels/cpu/elements.h"

namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT {

void add_forward(const Tensor& a, const Tensor& b, Tensor& y) {
  visit_floating("add", y.dtype(), [&]<class T>() {
    const auto sum = [](auto left, auto right) { return left + right; };
    map_elements(y.size(), y.data<T>(), sum, a.data<T>(), b.data<T>());
  });
}

void sub_forward(const Tensor& a, const Tensor& b, Tensor& y) {
  visit_floating("sub", y.dtype(), [&]<class T>() {
    const auto difference = [](auto left, auto right) { return left - right; };
    map_elements(y.size(), y.data<T>(), difference, a.data<T>(), b.data<T>());
  });
}

void mul_forward(const Tensor& a, const Tensor& b, Tensor& y) {
  visit_floating("mul", y.dtype(), [&]<class T>() {
    const auto product = [](auto left, auto right) { return left * right; };
    map_elements(y.size(), y.data<T>(), product, a.data<T>(), b.data<T>());
  });
}

void scale_forward(const Tensor& x, double factor, Tensor& y) {
  visit_floating("scale", y.dtype(), [&]<class T>() {
    const auto scaled = [by = static_cast<Accumulator<T>>(factor)](auto value) { return by * value; };
    map_elements(y.size(), y.data<T>(), scaled, x.data<T>());
  });
}

void accumulate(const Tensor& x, Tensor& y) {
  add_forward(x, y, y);
}

}  // namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT

void fovea::accumulate(const Tensor& x, Tensor& y) {
  kernels::accumulate(x, y);
}
