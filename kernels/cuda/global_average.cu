#include "fovea/kernels/global_average.h"

#include "fovea/kernels/reduce.h"

namespace fovea::kernels::cuda {

void global_average_forward(const Tensor& x, Tensor& y) {
  const int64_t N = x.shape(0), pixels = x.shape(1) * x.shape(2), C = x.shape(3);
  reduce_forward(x.reshape({N, pixels, C}), /*factor=*/1.0 / static_cast<double>(pixels), y);
}

void global_average_backward(const Tensor& dy, Tensor& dx) {
  const int64_t N = dx.shape(0), pixels = dx.shape(1) * dx.shape(2), C = dx.shape(3);
  Tensor rows = dx.reshape({N, pixels, C});
  reduce_backward(dy, /*factor=*/1.0 / static_cast<double>(pixels), rows);
}

}  // namespace fovea::kernels::cuda
