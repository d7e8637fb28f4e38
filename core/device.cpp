#include "fovea/core/device.h"

#include <algorithm>
#include <atomic>
#include <ostream>

#include "fovea/core/check.h"
#include "fovea/core/cuda_backend.h"
#include "fovea/core/printable.h"

namespace fovea {
namespace {

std::atomic<bool> tf32_is_allowed{false};

}  // namespace

std::string Device::str() const {
  return is_cpu() ? "cpu" : "cuda:" + std::to_string(index);
}

std::ostream& operator<<(std::ostream& out, const Device& device) {
  return out << device.str();
}

CudaStatus cuda_status() {
#if !FOVEA_HAS_CUDA
  if (&cuda::status == nullptr) return {0, "this build of Fovea has no CUDA backend"};
#endif
  return cuda::status();
}

void check_usable(const char* operation, Device device) {
  if (device.is_cpu()) return;
  const CudaStatus status = cuda_status();
  check<DeviceError>(device.index < status.device_count, operation, ": ", device,
                     " cannot be used: ", status.reason);
}

std::string describe(Device device) {
  if (device.is_cpu()) return device.str();
  check_usable("device", device);
  return cuda::describe(device.index);
}

void* cuda_stream(Device device) {
  check<UsageError>(device.is_cuda(), "cuda_stream: ", device, " has none; wanted a CUDA device");
  check_usable("cuda_stream", device);
  return cuda::stream(device.index);
}

std::string cuda_versions() {
#if FOVEA_HAS_CUDA
  return cuda::versions();
#else
  return "";
#endif
}

Device parse_device(const std::string& text) {
  if (text == "cpu") return Device::cpu();
  const CudaStatus status = cuda_status();
  if (text == "auto") return status.device_count > 0 ? Device::cuda(0) : Device::cpu();
  int index = 0;
  if (text.starts_with("cuda:")) {
    const std::string digits = text.substr(5);
    const bool is_number =
        !digits.empty() && digits.size() <= 4 &&
        std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; });
    check<UsageError>(is_number, "device: ", in_quotes(text), " has no device number after the colon");
    index = std::stoi(digits);
  } else {
    check<UsageError>(text == "cuda", "device: ", in_quotes(text), " is none of auto, cpu, cuda, cuda:N");
  }
  check<DeviceError>(status.device_count > 0, "device: ", in_quotes(text), " cannot be used: ", status.reason,
                     "; use the CPU");
  check<DeviceError>(index < status.device_count, "device: ", in_quotes(text), " does not exist, there are ",
                     status.device_count, " CUDA devices");
  return Device::cuda(index);
}

void set_tf32(bool allowed) {
  tf32_is_allowed = allowed;
}
bool tf32_allowed() {
  return tf32_is_allowed;
}

}  // namespace fovea
