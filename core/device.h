#pragma once

#include <iosfwd>
#include <string>

#pragma GCC visibility push(default)
namespace fovea {

/// Where a tensor's bytes lie: the CPU, or one CUDA device.
struct Device {
  enum class Type : unsigned char { cpu, cuda };

  Type type = Type::cpu;
  int index = 0;

  static Device cpu() { return {}; }
  static Device cuda(int index = 0) { return {Type::cuda, index}; }

  bool is_cpu() const { return type == Type::cpu; }
  bool is_cuda() const { return type == Type::cuda; }
  /// "cpu" or "cuda:0"
  std::string str() const;
  friend bool operator==(const Device&, const Device&) = default;
};

std::ostream& operator<<(std::ostream& out, const Device& device);

/// What a search for CUDA devices found: how many, and why none if there are none.
struct CudaStatus {
  int device_count = 0;
  std::string reason;
};
CudaStatus cuda_status();
/// DeviceError with the reason, beginning with `operation`, unless the device is the CPU or can be used.
void check_usable(const char* operation, Device device);

/// Name, compute capability and memory of a CUDA device that can be used; str() of the CPU.
std::string describe(Device device);

/// The stream on which a CUDA device does all that this thread gives it, a cudaStream_t: for other libraries,
/// whose work is then in order with Fovea's. Makes the device CUDA's current one. DeviceError where it cannot
/// be used, UsageError for the CPU.
void* cuda_stream(Device device);

/// What this program has loaded: "CUDA runtime 13.0, driver 13.0, cuDNN 9.19.0, cuBLASLt 13.1.0", whether
/// there is a device or not; "" in a build without CUDA.
std::string cuda_versions();

/// A device from "auto", "cpu", "cuda" or "cuda:N". "auto" takes a CUDA device where there is one.
/// UsageError for another text, DeviceError with the reason where that device cannot be used.
Device parse_device(const std::string& text);

/// Whether products and convolutions of f32 tensors on a CUDA device may round their factors to TF32 (10 bits
/// of mantissa): several times as fast. Off at first; for the whole process.
void set_tf32(bool allowed);
bool tf32_allowed();

}  // namespace fovea
#pragma GCC visibility pop
