#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <source_location>
#include <string>

#include "cuda_runtime_api.h"

/// The execution model of CUDA on one host thread: see Fovea's docs/emulator.md.
namespace fovea::emulator {

inline constexpr int kWarp = 32;
inline constexpr size_t kUnaskedShared = 48 << 10;  // bytes that a block may have without asking for more

struct Dim3 {
  unsigned x = 1, y = 1, z = 1;

  constexpr Dim3() = default;
  constexpr Dim3(unsigned x_, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}  // NOLINT
  uint64_t count() const { return uint64_t{x} * y * z; }
};

}  // namespace fovea::emulator

/// Of the thread that runs.
inline constinit thread_local fovea::emulator::Dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace fovea::emulator {

using Site = std::source_location;

/// Waits for all threads of the block. An Error from launch if some of them have ended or wait elsewhere.
void block_barrier(const Site& site);

enum class WarpOperation { sync, shuffle, ballot };
/// Waits for the lanes in `mask` and exchanges: a shuffle gives the bits of lane `source`, a ballot one bit
/// of each lane whose `bits` are not 0. An Error from launch if lanes disagree about mask, operation or
/// place, if the calling lane is not in its mask, or if a lane in the mask never comes.
uint64_t warp_exchange(WarpOperation operation, unsigned mask, uint64_t bits, int source, const Site& site);

/// `count` elements of shared memory, the same for all threads of a block that pass the same `key`. They
/// start as 0xFF bytes in each block; writing beside them is an Error from launch.
void* shared_memory(const void* key, size_t bytes);
/// The dynamic shared memory of a block, of as many bytes as the launch has asked for, which each thread says
/// first; otherwise an Error from launch.
void allow_dynamic_shared_memory(size_t bytes);
void* dynamic_shared_memory(size_t bytes);
template <class T>
T* shared_array(const void* key, size_t count) {
  return static_cast<T*>(shared_memory(key, count * sizeof(T)));
}

/// `count` elements that the threads of a block have in common and other blocks do not see, for what stands
/// for an instruction; whatever was there before. Not a block's shared memory: that is not counted.
void* block_memory(const void* key, size_t bytes);
template <class T>
T* block_array(const void* key, size_t count) {
  return static_cast<T*>(block_memory(key, count * sizeof(T)));
}

/// A kernel that was launched.
struct Kernel {
  const void* function = nullptr;
  Dim3 grid, block;
  std::string arguments;  // their bytes, while what moves is measured: see traffic.h
};
/// Runs body() once for every thread of the grid, in stream order: at once, or at each replay while the
/// stream is being captured. Error, beginning with `operation`, for what would go wrong on a device.
void launch(const char* operation, Kernel kernel, cudaStream_t stream, std::function<void()> body);
/// Whether a kernel's arguments are wanted.
bool is_measuring();

/// What a stream runs in order, and a graph keeps.
struct Work {
  const char* operation;
  std::function<void()> run;
  int64_t read = 0, written = 0;  // bytes of device memory, of what is no kernel
  Kernel kernel{};                // none: a copy, a fill, or a library's call
};
void submit(cudaStream_t stream, Work work);

/// Whether a pointer is null or points into the emulated device's memory, or to a variable of the device.
bool is_device_pointer(const void* pointer);
/// Notes where a variable of the device is.
void note_variable(const void* address, size_t bytes);

/// Whether a grid has as many blocks and threads as can be launched.
bool is_grid(Dim3 grid, Dim3 block);
/// Lets launches of a kernel ask for so many bytes of dynamic shared memory, beyond what all may.
void allow_dynamic_of(const void* kernel, size_t bytes);
/// Why such a launch is none, or cudaSuccess.
cudaError_t check_launch(const void* kernel, Dim3 grid, Dim3 block, size_t dynamic_bytes);
/// The name of a kernel, as long as the program lives.
const char* name_of_kernel(const void* kernel);

/// From here on, or once so many more kernels and copies have run, the device answers every call with this
/// error, as CUDA's does after an illegal address; cudaSuccess ends that.
void fail_device(cudaError_t error, int64_t after = 0);
/// How many devices there are, 1 at first. To be called before anything asks; they share one memory.
void set_device_count(int count);

/// The order in which blocks and threads run is drawn anew for each launch from this seed, and that between
/// streams.
void set_schedule(uint64_t seed);

/// When a stream's work runs: as soon as it is given, or as late as a wait allows, in an order between
/// streams that is drawn. At first what FOVEA_EMULATED_STREAMS in the environment says, "at_once" or
/// "deferred".
enum class StreamOrder { at_once, deferred };
/// Runs what is queued.
void set_stream_order(StreamOrder order);

/// How often memory was freed while a stream was being captured, which waits for the device, and takes away
/// what the graph may have recorded.
int64_t frees_while_capturing();

/// Of the device: 4, or FOVEA_EMULATED_MULTIPROCESSORS in the environment.
int multiprocessors();

/// What devices of a compute capability have.
struct Capability {
  int major, minor;
  size_t shared_bytes;  // of shared memory that a block may ask for
};
/// Of the device: 9.0, or FOVEA_EMULATED_CAPABILITY in the environment: "7.5", "8.0", "8.6", "8.9" or "9.0".
const Capability& capability();

/// For __trap: an Error from launch.
[[noreturn]] void stop_kernel();
/// What a call returns: `error`, or that of a device that has failed. cudaGetLastError gives it again.
cudaError_t remember(cudaError_t error);

/// Where a thread is interrupted by others, those of other blocks included: at atomics and fences.
void let_others_run(bool at_atomic);

/// What stands at an address beside memory that was asked for: a NaN in every floating dtype, so that reading
/// there shows, and not the 0xFF bytes of memory that is not written yet.
inline unsigned char guard_byte(const void* address) {
  return reinterpret_cast<uintptr_t>(address) % 2 == 0 ? 0xFE : 0xFF;
}

/// While one lives, the host may touch device memory; otherwise that is a segmentation fault.
class DeviceMemoryAccess {
 public:
  DeviceMemoryAccess();
  ~DeviceMemoryAccess();
  DeviceMemoryAccess(const DeviceMemoryAccess&) = delete;
  DeviceMemoryAccess& operator=(const DeviceMemoryAccess&) = delete;
};

/// An Error if a byte between the blocks of device memory has been written.
void check_memory_guards(const char* operation);

}  // namespace fovea::emulator
