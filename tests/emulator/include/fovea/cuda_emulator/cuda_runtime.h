#pragma once

// A part of CUDA C++ on the host: see Fovea's docs/emulator.md. What is not here does not compile.

#include <cstdint>
#include <cstring>
#include <string>
#include <tuple>
#include <type_traits>

#include "cuda_runtime_api.h"
#include "emulator.h"

#define __global__
#define __device__
#define __host__
#define __constant__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __restrict__ __restrict
#define __shared__                                                                                        \
  static_assert(false,                                                                                    \
                "the emulator has no __shared__: FOVEA_SHARED(type, name, count) or FOVEA_DYNAMIC_SHARED" \
                "(name, bytes) of fovea/cuda_emulator/portable.h declare such an array for nvcc, too");

inline constexpr int warpSize = ::fovea::emulator::kWarp;

using dim3 = ::fovea::emulator::Dim3;

struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(8) int2 {
  int x, y;
};
struct alignas(16) int4 {
  int x, y, z, w;
};
struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
inline float2 make_float2(float x, float y) {
  return {x, y};
}
inline float4 make_float4(float x, float y, float z, float w) {
  return {x, y, z, w};
}
inline int2 make_int2(int x, int y) {
  return {x, y};
}
inline int4 make_int4(int x, int y, int z, int w) {
  return {x, y, z, w};
}
inline uint2 make_uint2(unsigned x, unsigned y) {
  return {x, y};
}
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) {
  return {x, y, z, w};
}

#include "device_functions.h"

namespace fovea::emulator {

/// The bytes of a kernel's arguments, each from a multiple of 8 on.
template <class... Arguments>
std::string bytes_of_arguments(const Arguments&... arguments) {
  std::string bytes;
  [[maybe_unused]] const auto append = [&](const void* argument, size_t size) {
    bytes.append(static_cast<const char*>(argument), size);
    bytes.resize((bytes.size() + 7) / 8 * 8);
  };
  (append(&arguments, sizeof(arguments)), ...);
  return bytes;
}

/// On a device, an address of the CPU would fault.
[[noreturn]] void refuse_argument(const char* operation);
template <class T>
void check_argument(const char* operation, const T& argument) {
  if constexpr (std::is_pointer_v<T> && !std::is_function_v<std::remove_pointer_t<T>>) {
    if (!is_device_pointer(argument)) refuse_argument(operation);
  }
}

/// Puts a kernel into a stream. Error, beginning with `operation`, if a pointer among its arguments is none
/// of the device.
template <class... Parameters>
void start(const char* operation, void (*kernel)(Parameters...), dim3 blocks, dim3 threads,
           size_t dynamic_bytes, cudaStream_t stream, const Parameters&... arguments) {
  (check_argument(operation, arguments), ...);
  launch(operation,
         {reinterpret_cast<const void*>(kernel), blocks, threads,
          is_measuring() ? bytes_of_arguments(arguments...) : ""},
         stream, [kernel, dynamic_bytes, all = std::tuple<Parameters...>(arguments...)] {
           allow_dynamic_shared_memory(dynamic_bytes);
           std::apply(kernel, all);
         });
}

}  // namespace fovea::emulator

struct cudaLaunchAttribute;
struct cudaLaunchConfig_t {
  dim3 gridDim, blockDim;
  size_t dynamicSmemBytes;
  cudaStream_t stream;
  cudaLaunchAttribute* attrs;  // none is supported
  unsigned numAttrs;
};

/// kernel<<<gridDim, blockDim, dynamicSmemBytes, stream>>>(arguments...). What goes wrong in the kernel is a
/// fovea::Error, from here or from what waits for the stream.
template <class... Parameters, class... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Parameters...),
                               Arguments&&... arguments) {
  namespace emulator = ::fovea::emulator;
  const auto* function = reinterpret_cast<const void*>(kernel);
  const cudaError_t status =
      config->numAttrs != 0
          ? emulator::remember(cudaErrorNotSupported)
          : emulator::check_launch(function, config->gridDim, config->blockDim, config->dynamicSmemBytes);
  if (status != cudaSuccess) return status;
  const cudaError_t earlier = cudaGetLastError();
  emulator::start<std::remove_cv_t<Parameters>...>(
      emulator::name_of_kernel(function), kernel, config->gridDim, config->blockDim, config->dynamicSmemBytes,
      config->stream, static_cast<Parameters>(arguments)...);
  const cudaError_t own = cudaPeekAtLastError();
  if (own == cudaSuccess && earlier != cudaSuccess) emulator::remember(earlier);  // still to be asked for
  return own;
}

/// Lets launches of a kernel ask for more dynamic shared memory than 48 KB.
template <class... Parameters>
cudaError_t cudaFuncSetAttribute(void (*kernel)(Parameters...), cudaFuncAttribute, int value) {
  if (value < 0 || static_cast<size_t>(value) > ::fovea::emulator::capability().shared_bytes) {
    return ::fovea::emulator::remember(cudaErrorInvalidValue);
  }
  ::fovea::emulator::allow_dynamic_of(reinterpret_cast<const void*>(kernel), static_cast<size_t>(value));
  return cudaSuccess;
}

template <class T>
cudaError_t cudaMalloc(T** pointer, size_t bytes) {
  void* found = nullptr;
  const cudaError_t status = cudaMalloc(&found, bytes);
  *pointer = static_cast<T*>(found);
  return status;
}
template <class T>
cudaError_t cudaMallocHost(T** pointer, size_t bytes) {
  void* found = nullptr;
  const cudaError_t status = cudaMallocHost(&found, bytes);
  *pointer = static_cast<T*>(found);
  return status;
}

/// A variable of the device is the host's own.
template <class T>
cudaError_t cudaGetSymbolAddress(void** address, T& symbol) {
  ::fovea::emulator::note_variable(&symbol, sizeof(T));
  *address = const_cast<std::remove_const_t<T>*>(&symbol);
  return cudaSuccess;
}
template <class T>
cudaError_t cudaMemcpyToSymbol(T& symbol, const void* from, size_t bytes, size_t offset = 0,
                               cudaMemcpyKind kind = cudaMemcpyHostToDevice) {
  if (offset > sizeof(T) || bytes > sizeof(T) - offset) {
    return ::fovea::emulator::remember(cudaErrorInvalidValue);
  }
  void* address = nullptr;
  cudaGetSymbolAddress(&address, symbol);
  return cudaMemcpy(static_cast<char*>(address) + offset, from, bytes, kind);
}
template <class T>
cudaError_t cudaMemcpyFromSymbol(void* to, const T& symbol, size_t bytes, size_t offset = 0,
                                 cudaMemcpyKind kind = cudaMemcpyDeviceToHost) {
  if (offset > sizeof(T) || bytes > sizeof(T) - offset) {
    return ::fovea::emulator::remember(cudaErrorInvalidValue);
  }
  void* address = nullptr;
  cudaGetSymbolAddress(&address, symbol);
  return cudaMemcpy(to, static_cast<char*>(address) + offset, bytes, kind);
}
