#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "fovea/config.h"
#include "fovea/core/allocator.h"
#include "fovea/core/device.h"

/// What core asks of the CUDA backend (core/cuda). Without one these are null: callers go through device.h,
/// allocator.h, tensor.h and captured_graph.h, which say so.
#pragma GCC visibility push(default)
namespace fovea::cuda {

/// The devices of this machine, or why there are none. Asks the driver once.
FOVEA_CUDA_FUNCTION CudaStatus status();
/// "NVIDIA H100 80GB HBM3, compute capability 9.0, 79.1 GiB"
FOVEA_CUDA_FUNCTION std::string describe(int device);
/// See cuda_versions(). Not of every backend: null where it is missing.
FOVEA_CUDA_FUNCTION std::string versions();
/// Makes `device` the one on which this thread launches.
FOVEA_CUDA_FUNCTION void use_device(int device);
/// Around the launches of one kernel: the device, and a range under its name for Nsight (NVTX).
FOVEA_CUDA_FUNCTION void begin_kernel(const char* name, int device);
FOVEA_CUDA_FUNCTION void end_kernel() noexcept;
/// After the launches, if `wait` or FOVEA_SYNC=1 is in the environment: waits, so that an error is reported
/// where it arose. Not where they are recorded: nothing runs then.
FOVEA_CUDA_FUNCTION void check_kernel(const char* name, bool wait);
/// Whether the device has failed for good: see DeviceLost.
FOVEA_CUDA_FUNCTION bool is_lost(int device) noexcept;
/// The stream of this thread's work on the device, which becomes the one on which it launches: a
/// cudaStream_t.
FOVEA_CUDA_FUNCTION void* stream(int device);
/// Waits for everything that was launched on the device.
FOVEA_CUDA_FUNCTION void synchronize(int device);

FOVEA_CUDA_FUNCTION void* allocate(size_t bytes, int device);
FOVEA_CUDA_FUNCTION void deallocate(void* pointer, size_t bytes, int device) noexcept;
FOVEA_CUDA_FUNCTION MemoryStats memory_stats(int device);
FOVEA_CUDA_FUNCTION void reset_peak_memory(int device);
FOVEA_CUDA_FUNCTION void release_cached_memory(int device);
/// See AllocatorGuard.
FOVEA_CUDA_FUNCTION void add_guard(int count);
FOVEA_CUDA_FUNCTION int64_t guard_violations();
FOVEA_CUDA_FUNCTION int64_t unread_guards();

/// Copies between devices, or between a device and the CPU, after what this thread launched before. Returns
/// when `from` may be changed; a copy to the CPU is complete then.
FOVEA_CUDA_FUNCTION void copy(void* to, Device to_device, const void* from, Device from_device, size_t bytes);
/// Sets every byte to zero.
FOVEA_CUDA_FUNCTION void fill_with_zeros(void* pointer, size_t bytes, int device);

/// See captured_graph.h.
FOVEA_CUDA_FUNCTION double seconds_on(int device, const std::function<void()>& body);
FOVEA_CUDA_FUNCTION int64_t cache_bytes(int device);

/// See CapturedGraph. The functions pass the recording on, unseen.
struct Graph;
FOVEA_CUDA_FUNCTION Graph* record_graph(int device, const std::function<void()>& body);
FOVEA_CUDA_FUNCTION void replay_graph(const Graph& graph);
FOVEA_CUDA_FUNCTION int64_t count_nodes(const Graph& graph);
FOVEA_CUDA_FUNCTION void delete_graph(Graph* graph) noexcept;

}  // namespace fovea::cuda
#pragma GCC visibility pop
