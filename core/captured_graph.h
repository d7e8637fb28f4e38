#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "fovea/core/device.h"

#pragma GCC visibility push(default)
namespace fovea {

/// Waits until everything that was launched on the device is done; on the CPU it always is.
void synchronize(Device device);

/// Seconds that what `body` launches takes on the device: on a CUDA device between two events around it, on
/// the CPU by the clock. Returns when it is done. What was launched before does not count, and while it runs
/// the launches of `body` cost nothing. Not to be used while recording a CapturedGraph.
double seconds_on(Device device, const std::function<void()>& body);

/// Bytes of the cache that all memory accesses of a CUDA device go through (L2). DeviceError for the CPU.
int64_t cache_bytes(Device device);

/// What a function launches on a CUDA device, recorded once and replayed at the cost of one launch. Replaying
/// does the same with the same memory: inputs and results are tensors that exist before; the function must
/// not wait for the device, copy from the CPU, or use a result on the CPU.
class CapturedGraph {
 public:
  /// Records what `body` launches; nothing of it runs yet. DeviceError for the CPU, and for what cannot be
  /// recorded. Run `body` once before: what is prepared at the first use is not part of the work.
  CapturedGraph(Device device, const std::function<void()>& body);
  ~CapturedGraph();
  CapturedGraph(CapturedGraph&&) noexcept;
  CapturedGraph& operator=(CapturedGraph&&) noexcept;

  /// Launches it all after what this thread launched before.
  void replay() const;
  /// Number of kernels, copies and fills recorded.
  int64_t nodes() const;

 private:
  struct Recording;
  std::unique_ptr<Recording> recording_;
};

}  // namespace fovea
#pragma GCC visibility pop
