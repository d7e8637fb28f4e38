#pragma once

#include <memory>
#include <string>

namespace fovea::bench {

/// The clocks of a CUDA device, as the driver's management library (NVML) has them. It and the driver are
/// loaded when the program runs: a machine without them has no clocks, and no error.
class GpuClocks {
 public:
  /// `index`: of the device, as CUDA counts.
  explicit GpuClocks(int index);
  ~GpuClocks();

  /// Whether there is something to ask.
  bool is_available() const { return device_ != nullptr; }
  /// "" if it is available, or what is missing.
  const std::string& reason() const { return reason_; }
  /// "580.95.05"
  std::string driver() const;
  /// MHz of the multiprocessors and of the memory, now and at most; 0 where the driver does not say.
  int multiprocessor_clock() const;
  int most_multiprocessor_clock() const;
  int memory_clock() const;
  /// Why the device is slower now than it could be: "power cap, heat"; "" if it is not.
  std::string throttled_by() const;

 private:
  struct Library;
  int clock(bool is_most, int type) const;

  std::unique_ptr<Library> library_;
  void* device_ = nullptr;
  std::string reason_;
};

}  // namespace fovea::bench
