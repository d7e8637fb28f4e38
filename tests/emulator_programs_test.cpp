// Programs in plain CUDA, without anything of Fovea: what the emulator offers to other projects.
#include <cuda_runtime.h>

#include <catch2/catch.hpp>
#include <numeric>
#include <string>
#include <vector>

#include "fovea/core/check.h"
#include "fovea/cuda_emulator/emulator.h"
#include "fovea/cuda_emulator/portable.h"

using namespace fovea;

namespace {

constexpr unsigned kThreads = 64;

cudaLaunchConfig_t config_of(unsigned blocks, unsigned threads, size_t dynamic_bytes = 0,
                             cudaStream_t stream = nullptr) {
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(blocks);
  config.blockDim = dim3(threads);
  config.dynamicSmemBytes = dynamic_bytes;
  config.stream = stream;
  return config;
}

template <class... Parameters, class... Arguments>
cudaError_t run(const cudaLaunchConfig_t& config, void (*kernel)(Parameters...), Arguments... arguments) {
  return cudaLaunchKernelEx(&config, kernel, arguments...);
}

/// Numbers on the device, 0 at first.
struct Numbers {
  explicit Numbers(size_t count_) : count(count_) {
    REQUIRE(cudaMalloc(&data, count * sizeof(int)) == cudaSuccess);
    REQUIRE(cudaMemset(data, 0, count * sizeof(int)) == cudaSuccess);
  }
  ~Numbers() { cudaFree(data); }
  Numbers(const Numbers&) = delete;
  Numbers& operator=(const Numbers&) = delete;
  std::vector<int> values() const {
    std::vector<int> result(count);
    REQUIRE(cudaMemcpy(result.data(), data, count * sizeof(int), cudaMemcpyDeviceToHost) == cudaSuccess);
    return result;
  }
  size_t count;
  int* data = nullptr;
};

__global__ void reverse_kernel(int* y) {
  FOVEA_SHARED(int, numbers, kThreads);
  numbers[threadIdx.x] = static_cast<int>(threadIdx.x);
  __syncthreads();
  y[threadIdx.x] = numbers[blockDim.x - 1 - threadIdx.x];
}

__global__ void dynamic_kernel(int* y, int count) {
  FOVEA_DYNAMIC_SHARED(memory, static_cast<size_t>(count) * sizeof(int));
  int* const numbers = reinterpret_cast<int*>(memory);
  numbers[count - 1] = count;
  y[0] = numbers[count - 1];
}

__global__ void lonely_barrier_kernel() {
  if (threadIdx.x == 0) __syncthreads();
}
__global__ void trap_kernel() {
  __trap();
}

__constant__ int factors[2];
__device__ int total;

__global__ void scale_kernel(int* y) {
  y[threadIdx.x] = factors[threadIdx.x % 2] * static_cast<int>(threadIdx.x);
}
__global__ void read_kernel(const int* x, int* y) {
  y[0] = *x;
}
__global__ void add_kernel(int* y, int value) {
  y[threadIdx.x] += value;
}

/// All atomics, each on a number of its own; all threads of all blocks call them.
__global__ void atomics_kernel(int* y, unsigned* wrapped) {
  const int own = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  atomicAdd(&y[0], own);
  atomicSub(&y[1], own);
  atomicMax(&y[2], own);
  atomicMin(&y[3], -own);
  atomicOr(&y[4], 1 << own % 4);
  atomicXor(&y[5], own);
  atomicAnd(&y[6], own);
  for (int before = y[7];;) {  // an addition by compare-and-swap
    const int found = atomicCAS(&y[7], before, before + 1);
    if (found == before) break;
    before = found;
  }
  atomicInc(wrapped, 9);
}

/// How many threads are odd, whether any is the last, whether all are below 10.
__global__ void votes_kernel(int* y) {
  const int own = static_cast<int>(threadIdx.x + blockDim.x * threadIdx.y);
  const int odd = __syncthreads_count(own % 2), any = __syncthreads_or(own == 59),
            all = __syncthreads_and(own < 10);
  y[3 * own] = odd;
  y[3 * own + 1] = any;
  y[3 * own + 2] = all;
}

}  // namespace

TEST_CASE("emulator programs: a launch, and those that are none") {
  const Numbers y(kThreads);
  REQUIRE(run(config_of(1, kThreads), reverse_kernel, y.data) == cudaSuccess);
  std::vector<int> wanted(kThreads);
  std::iota(wanted.rbegin(), wanted.rend(), 0);
  CHECK(y.values() == wanted);
  for (const cudaLaunchConfig_t& config : {config_of(0, 32), config_of(1, 1025), config_of(1, 0)}) {
    CHECK(run(config, reverse_kernel, y.data) == cudaErrorInvalidConfiguration);
    CHECK(cudaPeekAtLastError() == cudaErrorInvalidConfiguration);
    CHECK(cudaGetLastError() == cudaErrorInvalidConfiguration);
    CHECK(cudaGetLastError() == cudaSuccess);
  }
  cudaLaunchConfig_t with_attributes = config_of(1, kThreads);
  with_attributes.numAttrs = 1;
  CHECK(run(with_attributes, reverse_kernel, y.data) == cudaErrorNotSupported);
  CHECK(run(config_of(1, kThreads), reverse_kernel, y.data) == cudaSuccess);
  CHECK(cudaGetLastError() == cudaErrorNotSupported);  // of before
  int on_cpu[kThreads];
  CHECK_THROWS_WITH(run(config_of(1, kThreads), reverse_kernel, &on_cpu[0]),
                    Catch::Contains("reverse_kernel: an argument of a kernel points to CPU memory"));
  cudaGetLastError();
}

TEST_CASE("emulator programs: more than 48 KB of shared memory are asked for, as much as the device has") {
  const Numbers y(1);
  const size_t most = emulator::capability().shared_bytes;
  const auto launch = [&](size_t bytes) {
    return run(config_of(1, 1, bytes), dynamic_kernel, y.data, static_cast<int>(bytes / sizeof(int)));
  };
  CHECK(launch(48 << 10) == cudaSuccess);
  CHECK(launch((48 << 10) + 16) == cudaErrorInvalidValue);
  CHECK(cudaFuncSetAttribute(dynamic_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(most) + 1) == cudaErrorInvalidValue);
  CHECK(cudaFuncSetAttribute(dynamic_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(most)) == cudaSuccess);
  CHECK(launch(most) == cudaSuccess);
  CHECK(y.values()[0] == static_cast<int>(most / sizeof(int)));
  cudaDeviceProp properties{};
  REQUIRE(cudaGetDeviceProperties(&properties, 0) == cudaSuccess);
  CHECK(properties.sharedMemPerBlockOptin == most);
  cudaGetLastError();
}

TEST_CASE("emulator programs: what goes wrong in a kernel is an error with its name and the place") {
  CHECK_THROWS_WITH(run(config_of(1, 32), lonely_barrier_kernel),
                    Catch::Contains("lonely_barrier_kernel: block 0,0,0: not all threads get on") &&
                        Catch::Contains("emulator_programs_test.cpp:"));
  CHECK_THROWS_WITH(run(config_of(1, 1), trap_kernel),
                    Catch::Contains("trap_kernel: block 0,0,0: the kernel ends"));
}

TEST_CASE(
    "emulator programs: copies in the wrong direction or beyond a block are refused, and change nothing") {
  const Numbers x(4), y(4);
  int host[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  constexpr size_t kBytes = 4 * sizeof(int);
  REQUIRE(cudaMemcpy(x.data, host, kBytes, cudaMemcpyHostToDevice) == cudaSuccess);
  CHECK(cudaMemcpy(y.data, x.data, kBytes, cudaMemcpyDeviceToDevice) == cudaSuccess);
  CHECK(y.values() == std::vector{1, 2, 3, 4});
  CHECK(cudaMemcpy(host + 4, y.data, kBytes, cudaMemcpyHostToDevice) == cudaErrorInvalidValue);
  CHECK(cudaMemcpy(y.data, host, kBytes, cudaMemcpyDeviceToHost) == cudaErrorInvalidValue);
  CHECK(cudaMemcpy(y.data, host, kBytes + 1, cudaMemcpyHostToDevice) == cudaErrorInvalidValue);
  CHECK(cudaMemcpy(y.data + 1, host, kBytes, cudaMemcpyHostToDevice) == cudaErrorInvalidValue);
  CHECK(cudaMemcpy(host, y.data + 1, kBytes, cudaMemcpyDeviceToHost) == cudaErrorInvalidValue);
  CHECK(cudaMemcpy(nullptr, y.data, kBytes, cudaMemcpyDeviceToHost) == cudaErrorInvalidValue);
  CHECK(cudaMemset(y.data, 0, kBytes + 1) == cudaErrorInvalidValue);
  CHECK(cudaMemset(host, 0, kBytes) == cudaErrorInvalidValue);
  CHECK(y.values() == std::vector{1, 2, 3, 4});
  CHECK(host[4] == 5);
  cudaGetLastError();
}

TEST_CASE("emulator programs: constants and variables of the device") {
  const int values[] = {3, -1};
  REQUIRE(cudaMemcpyToSymbol(factors, values, sizeof(values)) == cudaSuccess);
  const Numbers y(4);
  REQUIRE(run(config_of(1, 4), scale_kernel, y.data) == cudaSuccess);
  CHECK(y.values() == std::vector{0, -1, 6, -3});
  CHECK(cudaMemcpyToSymbol(factors, values, sizeof(values), /*offset=*/1) == cudaErrorInvalidValue);
  int found[2] = {};
  REQUIRE(cudaMemcpyFromSymbol(found, factors, sizeof(found)) == cudaSuccess);
  CHECK(found[1] == -1);
  void* address = nullptr;
  const int sum = 42;
  REQUIRE(cudaMemcpyToSymbol(total, &sum, sizeof(sum)) == cudaSuccess);
  REQUIRE(cudaGetSymbolAddress(&address, total) == cudaSuccess);
  REQUIRE(run(config_of(1, 1), read_kernel, static_cast<const int*>(address), y.data) == cudaSuccess);
  CHECK(y.values()[0] == 42);
  cudaGetLastError();
}

TEST_CASE(
    "emulator programs: the default stream waits for streams, and they for it, but for non-blocking ones") {
  struct AtOnceAgain {
    ~AtOnceAgain() { emulator::set_stream_order(emulator::StreamOrder::at_once); }
  } at_once_again;
  emulator::set_stream_order(emulator::StreamOrder::deferred);
  const Numbers y(1);
  cudaStream_t stream = nullptr, other = nullptr;
  REQUIRE(cudaStreamCreate(&stream) == cudaSuccess);
  REQUIRE(cudaStreamCreateWithFlags(&other, cudaStreamNonBlocking) == cudaSuccess);
  for (int i = 0; i < 20; ++i) {
    REQUIRE(cudaMemsetAsync(y.data, 0, sizeof(int), stream) == cudaSuccess);
    REQUIRE(run(config_of(1, 1), add_kernel, y.data, 1) == cudaSuccess);
    REQUIRE(run(config_of(1, 1, 0, stream), add_kernel, y.data, 2) == cudaSuccess);
    CHECK(y.values()[0] == 3);
  }
  REQUIRE(cudaMemsetAsync(y.data, 1, sizeof(int), other) == cudaSuccess);
  CHECK(y.values()[0] == 3);
  REQUIRE(cudaStreamSynchronize(other) == cudaSuccess);
  CHECK(y.values()[0] == 0x01010101);
  cudaStreamDestroy(stream);
  cudaStreamDestroy(other);
}

TEST_CASE("emulator programs: atomics lose nothing, whoever comes between") {
  constexpr int kBlocks = 5, kWidth = 32, kAll = kBlocks * kWidth;
  const Numbers y(8), wrapped(1);
  const int ones = -1;
  REQUIRE(cudaMemcpy(y.data + 6, &ones, sizeof(int), cudaMemcpyHostToDevice) == cudaSuccess);
  REQUIRE(run(config_of(kBlocks, kWidth), atomics_kernel, y.data,
              reinterpret_cast<unsigned*>(wrapped.data)) == cudaSuccess);
  int parity = 0;
  for (int i = 0; i < kAll; ++i) parity ^= i;
  constexpr int kSum = kAll * (kAll - 1) / 2;
  CHECK(y.values() == std::vector{kSum, -kSum, kAll - 1, 1 - kAll, 15, parity, 0, kAll});
  CHECK(wrapped.values()[0] == kAll % 10);
}

TEST_CASE("emulator programs: votes of a block") {
  const Numbers y(3 * 60);
  cudaLaunchConfig_t config = config_of(1, 0);
  config.blockDim = dim3(20, 3);
  REQUIRE(cudaLaunchKernelEx(&config, votes_kernel, y.data) == cudaSuccess);
  const std::vector<int> votes = y.values();
  for (size_t i = 0; i < votes.size(); i += 3) {
    CHECK(votes[i] == 30);
    CHECK(votes[i + 1] == 1);
    CHECK(votes[i + 2] == 0);
  }
}

TEST_CASE("emulator programs: errors have CUDA's names and words") {
  CHECK(std::string(cudaGetErrorName(cudaErrorNoKernelImageForDevice)) == "cudaErrorNoKernelImageForDevice");
  CHECK(std::string(cudaGetErrorString(cudaErrorInvalidConfiguration)) == "invalid configuration argument");
  CHECK(std::string(cudaGetErrorName(static_cast<cudaError_t>(999))) == "unrecognized error code");
}
