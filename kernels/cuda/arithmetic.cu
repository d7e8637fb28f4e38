#include "fovea/kernels/arithmetic.h"

#include "fovea/kernels/cuda/elements.h"

namespace fovea::kernels::cuda {
namespace {

struct Sum {
  __device__ float operator()(float a, float b) const { return a + b; }
};

struct Difference {
  __device__ float operator()(float a, float b) const { return a - b; }
};

struct Product {
  __device__ float operator()(float a, float b) const { return a * b; }
};

struct Scaled {
  float factor;
  __device__ float operator()(float x) const { return factor * x; }
};

template <class Function>
void map_two(const char* operation, Function f, const Tensor& a, const Tensor& b, Tensor& y) {
  cuda::visit_device_floating(operation, y.dtype(), [&]<class T>() {
    cuda::map_elements(operation, y.size(), y.data<T>(), f, a.data<T>(), b.data<T>());
  });
}

}  // namespace

void add_forward(const Tensor& a, const Tensor& b, Tensor& y) {
  map_two("add", Sum(), a, b, y);
}

void sub_forward(const Tensor& a, const Tensor& b, Tensor& y) {
  map_two("sub", Difference(), a, b, y);
}

void mul_forward(const Tensor& a, const Tensor& b, Tensor& y) {
  map_two("mul", Product(), a, b, y);
}

void scale_forward(const Tensor& x, double factor, Tensor& y) {
  visit_device_floating("scale", y.dtype(), [&]<class T>() {
    map_elements("scale", y.size(), y.data<T>(), Scaled{static_cast<float>(factor)}, x.data<T>());
  });
}

void accumulate(const Tensor& x, Tensor& y) {
  add_forward(x, y, y);
}

}  // namespace fovea::kernels::cuda
