#include "fovea/kernels/cuda/conv/check.h"

#include <numeric>

#include "fovea/kernels/cuda/convert.h"
#include "fovea/kernels/cuda/launch.h"

namespace fovea::kernels::cuda {
namespace {

/// The mixing function of splitmix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators",
/// 2014).
__device__ inline uint64_t mixed(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

/// A thread writes every element whose turn it is; writes x once.
template <class T>
__global__ void noise_kernel(int64_t count, uint64_t seed, T* x) {
  for (int64_t i = grid_thread(); i < count; i += grid_threads()) {
    const uint64_t bits = mixed(seed + static_cast<uint64_t>(i) * 0x9e3779b97f4a7c15u);
    const float uniform = static_cast<float>(bits >> 40) * 0x1p-24f;  // [0, 1)
    x[i] = from_float<T>((uniform - 0.5f) * 3.4641016f);              // variance 1/12 times 12
  }
}

/// A thread counts in the elements whose turn it is; reads both tensors once.
template <class T>
__global__ void differences_kernel(int64_t count, const T* found, const T* wanted, float tolerance,
                                   float typical, int32_t* differences) {
  int32_t sum = 0;
  for (int64_t i = grid_thread(); i < count; i += grid_threads()) {
    const float want = to_float(wanted[i]);
    const float distance = fabsf(to_float(found[i]) - want);
    if (!(distance <= tolerance * (fabsf(want) + typical))) ++sum;  // NaN, too
  }
  differences[grid_thread()] = sum;
}

}  // namespace

void fill_with_noise(Tensor& x, uint64_t seed) {
  visit_device_floating("conv", x.dtype(), [&]<class T>() {
    launch("conv: noise", noise_kernel<T>, grid_for(x.size()), x.size(), seed, x.data<T>());
  });
}

int64_t count_differences(const Tensor& found, const Tensor& wanted, double tolerance, double typical) {
  const Grid grid = grid_for(found.size());
  Tensor differences = Tensor::empty({int64_t{grid.blocks.x} * grid.threads.x}, Dtype::i32, found.device());
  visit_device_floating("conv", found.dtype(), [&]<class T>() {
    launch("conv: differences", differences_kernel<T>, grid, found.size(), found.data<T>(), wanted.data<T>(),
           static_cast<float>(tolerance), static_cast<float>(typical), differences.data<int32_t>());
  });
  const Tensor on_cpu = differences.to(Device::cpu());
  const auto counts = on_cpu.span<int32_t>();
  return std::accumulate(counts.begin(), counts.end(), int64_t{0});
}

}  // namespace fovea::kernels::cuda
