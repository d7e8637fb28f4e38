#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <cstring>

#include "fovea/core/cuda/runtime.h"
#include "fovea/cuda_emulator/portable.h"

// kernels/cuda/device_code.h for the emulator.

namespace fovea::kernels::cuda {

[[noreturn]] inline void stop_kernel() {
  emulator::stop_kernel();
}

/// A device faults there; the host's processor would not mind.
template <class T>
void check_alignment(const void* data) {
  check(reinterpret_cast<uintptr_t>(data) % alignof(T) == 0, "a kernel: a value of ", sizeof(T),
        " bytes is not aligned");
}

template <class T>
T load_as(const void* data) {
  T value;
  std::memcpy(&value, data, sizeof(value));
  return value;
}
template <class T>
void store_as(void* data, const T& value) {
  std::memcpy(data, &value, sizeof(value));
}

template <class... Parameters>
void start(const char* operation, void (*kernel)(Parameters...), dim3 blocks, dim3 threads, size_t shared,
           Parameters... arguments) {
  emulator::start<Parameters...>(operation, kernel, blocks, threads, shared, fovea::cuda::current_stream(),
                                 arguments...);
}

}  // namespace fovea::kernels::cuda
