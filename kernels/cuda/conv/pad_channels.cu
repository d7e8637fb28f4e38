#include "fovea/kernels/cuda/conv/pad_channels.h"

#include "fovea/kernels/cuda/launch.h"
#include "fovea/kernels/cuda/pack.h"

namespace fovea::kernels::cuda {
namespace {

/// A thread writes a pack of neighbouring channels of y at a time; reads what x has of it, element by
/// element, and writes y once.
template <int kWidth, class T>
__global__ void pad_channels_kernel(int64_t rows, int64_t C, const T* x, int64_t padded_rows,
                                    int64_t padded_C, T* y) {
  const int64_t packs = padded_C / kWidth;
  for (int64_t i = grid_thread(); i < padded_rows * packs; i += grid_threads()) {
    const int64_t row = i / packs, begin = i % packs * kWidth;
    store_pack<kWidth>(y + i * kWidth, make_pack<T, kWidth>([&](int k) {
                         const bool has = row < rows && begin + k < C;
                         return has ? x[row * C + begin + k] : from_float<T>(0.0f);
                       }));
  }
}

}  // namespace

void pad_channels(const char* operation, const Tensor& x, Tensor& y) {
  if (y.size() == 0) return;
  const int64_t C = x.shape(-1), padded_C = y.shape(-1);
  const int64_t rows = x.size() / C, padded_rows = y.size() / padded_C;
  visit_device_floating(operation, x.dtype(), [&]<class T>() {
    const auto run = [&]<int kWidth>() {
      launch(operation, pad_channels_kernel<kWidth, T>, grid_for(y.size() / kWidth), rows, C, x.data<T>(),
             padded_rows, padded_C, y.data<T>());
    };
    visit_width<T>(padded_C, run, y.data<T>());
  });
}

}  // namespace fovea::kernels::cuda
