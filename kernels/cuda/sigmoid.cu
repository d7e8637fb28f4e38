#include "fovea/kernels/sigmoid.h"

#include "fovea/kernels/cuda/elements.h"
#include "fovea/kernels/cuda/sigmoid.h"

namespace fovea::kernels::cuda {
namespace {

struct Sigmoid {
  __device__ float operator()(float x) const { return cuda::sigmoid(x); }
};

struct SigmoidSlope {
  __device__ float operator()(float dy, float y) const { return dy * y * (1.0f - y); }
};

}  // namespace

void sigmoid_forward(const Tensor& x, Tensor& y) {
  visit_device_floating("sigmoid", x.dtype(), [&]<class T>() {
    map_elements("sigmoid", x.size(), y.data<T>(), Sigmoid(), x.data<T>());
  });
}

void sigmoid_backward(const Tensor& dy, const Tensor& y, Tensor& dx) {
  visit_device_floating("sigmoid", dy.dtype(), [&]<class T>() {
    map_elements("sigmoid", dy.size(), dx.data<T>(), SigmoidSlope(), dy.data<T>(), y.data<T>());
  });
}

}  // namespace fovea::kernels::cuda
