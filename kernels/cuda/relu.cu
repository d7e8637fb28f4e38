#include "fovea/kernels/relu.h"

#include "fovea/kernels/cuda/elements.h"

namespace fovea::kernels::cuda {
namespace {

struct Rectified {
  __device__ float operator()(float x) const { return x < 0.0f ? 0.0f : x; }
};

struct Passed {
  __device__ float operator()(float dy, float y) const { return y <= 0.0f ? 0.0f : dy; }
};

}  // namespace

void relu_forward(const Tensor& x, Tensor& y) {
  visit_device_floating("relu", x.dtype(), [&]<class T>() {
    map_elements("relu", x.size(), y.data<T>(), Rectified(), x.data<T>());
  });
}

void relu_backward(const Tensor& dy, const Tensor& y, Tensor& dx) {
  visit_device_floating("relu", dy.dtype(), [&]<class T>() {
    map_elements("relu", dy.size(), dx.data<T>(), Passed(), dy.data<T>(), y.data<T>());
  });
}

}  // namespace fovea::kernels::cuda
