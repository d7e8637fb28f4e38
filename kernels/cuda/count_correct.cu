#include "fovea/kernels/count_correct.h"

#include "fovea/kernels/cuda/convert.h"
#include "fovea/kernels/cuda/launch.h"

namespace fovea::kernels::cuda {
namespace {

using cuda::kWarpSize;
using cuda::to_float;

/// A warp takes a row: its lanes compare the classes in turn and count together. One pass over the logits; a
/// count of whole numbers does not depend on the order of the atomics.
template <class T>
__global__ void count_correct_kernel(const T* logits, const int32_t* labels, int64_t N, int64_t C, int64_t k,
                                     unsigned long long* correct) {
  const int64_t n = cuda::grid_thread() / kWarpSize;
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  if (n >= N) return;
  const int32_t label = labels[n];
  if (label < 0 || label >= C) return;
  const T* row = logits + n * C;
  const float own = to_float(row[label]);
  int before = 0;
  for (int64_t c = lane; c < C; c += kWarpSize) {
    const float other = to_float(row[c]);
    before += other > own || (other == own && c < label) ? 1 : 0;
  }
  for (int step = kWarpSize / 2; step > 0; step /= 2) before += __shfl_xor_sync(0xffffffffu, before, step);
  if (lane == 0 && own == own && before < k) atomicAdd(correct, 1);
}

}  // namespace

void count_correct(const Tensor& logits, const Tensor& labels, int64_t k, Tensor& correct) {
  if (logits.size() == 0) return;
  constexpr int kThreads = 256;
  const int64_t N = logits.shape(0);
  const auto blocks = static_cast<unsigned>((N * kWarpSize + kThreads - 1) / kThreads);
  visit_device_floating("count_correct", logits.dtype(), [&]<class T>() {
    launch("count_correct", count_correct_kernel<T>, Grid{dim3(blocks), dim3(kThreads)}, logits.data<T>(),
           labels.data<int32_t>(), N, logits.shape(1), k,
           reinterpret_cast<unsigned long long*>(correct.data<int64_t>()));
  });
}

}  // namespace fovea::kernels::cuda
