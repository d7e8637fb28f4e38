// Sums of a matrix's rows: a kernel, and what launches it. The same source compiles by nvcc and for the
// emulator.
#include "row_sums.h"

#include <fovea/cuda_emulator/portable.h>

#include <stdexcept>
#include <string>

namespace {

constexpr int kThreads = 128, kWarp = 32, kWarps = kThreads / kWarp;

/// A block sums up a row: a thread every kThreads-th number of it, a warp its threads' sums by shuffles, the
/// first thread those of the warps.
__global__ void row_sums_kernel(const float* x, int columns, float* y) {
  FOVEA_SHARED(float, of_warps, kWarps);
  const int thread = static_cast<int>(threadIdx.x);
  const float* const row = x + static_cast<size_t>(blockIdx.x) * static_cast<size_t>(columns);
  float sum = 0;
  for (int i = thread; i < columns; i += kThreads) sum += row[i];
  for (int step = kWarp / 2; step > 0; step /= 2) {
    sum += __shfl_down_sync(0xffffffffu, sum, static_cast<unsigned>(step));
  }
  if (thread % kWarp == 0) of_warps[thread / kWarp] = sum;
  __syncthreads();
  if (thread != 0) return;
  float total = 0;
  for (int warp = 0; warp < kWarps; ++warp) total += of_warps[warp];
  y[blockIdx.x] = total;
}

void check(cudaError_t status, const char* what) {
  if (status != cudaSuccess) {
    throw std::runtime_error(std::string("row_sums: ") + what + ": " + cudaGetErrorString(status));
  }
}

/// Numbers on the device.
class DeviceArray {
 public:
  explicit DeviceArray(size_t count) { check(cudaMalloc(&data_, count * sizeof(float)), "memory"); }
  ~DeviceArray() { cudaFree(data_); }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;
  float* data() const { return data_; }

 private:
  float* data_ = nullptr;
};

}  // namespace

void row_sums(const float* x, int rows, int columns, float* y) {
  const size_t count = static_cast<size_t>(rows) * static_cast<size_t>(columns);
  const size_t sums = static_cast<size_t>(rows);
  const DeviceArray device_x(count), device_y(sums);
  check(cudaMemcpy(device_x.data(), x, count * sizeof(float), cudaMemcpyHostToDevice), "copy of x");
  // row_sums_kernel<<<rows, kThreads>>>(device_x.data(), columns, device_y.data()), as a C++ compiler takes
  // it, too.
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(static_cast<unsigned>(rows));
  config.blockDim = dim3(kThreads);
  check(cudaLaunchKernelEx(&config, row_sums_kernel, static_cast<const float*>(device_x.data()), columns,
                           device_y.data()),
        "launch");
  check(cudaMemcpy(y, device_y.data(), sums * sizeof(float), cudaMemcpyDeviceToHost), "copy of y");
}
