#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>

#include "fovea/core/cuda/runtime.h"

// kernels/cuda/device_code.h for the emulator.

#define FOVEA_SHARED(type, name, count) \
  static const char name##_key = 0;     \
  auto* const name = ::fovea::emulator::shared_array<type>(&name##_key, count)

#define FOVEA_DYNAMIC_SHARED(name, bytes) \
  auto* const name = static_cast<uint4*>(::fovea::emulator::dynamic_shared_memory(bytes))

namespace fovea::kernels::cuda {

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

/// The bytes of a kernel's arguments, each from a multiple of 8 on.
template <class... Arguments>
std::string bytes_of_arguments(const Arguments&... arguments) {
  std::string bytes;
  const auto append = [&](const void* argument, size_t size) {
    bytes.append(static_cast<const char*>(argument), size);
    bytes.resize((bytes.size() + 7) / 8 * 8);
  };
  (append(&arguments, sizeof(arguments)), ...);
  return bytes;
}

/// On a device, an address of the CPU would fault.
template <class T>
void check_argument(const char* operation, const T& argument) {
  if constexpr (std::is_pointer_v<T>) {
    check(emulator::is_device_pointer(argument), operation, ": an argument of a kernel points to CPU memory");
  }
}

template <class... Parameters>
void start(const char* operation, void (*kernel)(Parameters...), dim3 blocks, dim3 threads, size_t shared,
           Parameters... arguments) {
  (check_argument(operation, arguments), ...);
  emulator::launch(operation,
                   {reinterpret_cast<const void*>(kernel), blocks, threads,
                    emulator::is_measuring() ? bytes_of_arguments(arguments...) : ""},
                   fovea::cuda::current_stream(), [=] {
                     emulator::allow_dynamic_shared_memory(shared);
                     kernel(arguments...);
                   });
}

}  // namespace fovea::kernels::cuda
