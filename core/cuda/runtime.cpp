#include "fovea/core/cuda/runtime.h"

#include <nvtx3/nvToolsExt.h>

#include <algorithm>
#include <array>
#include <mutex>

#include "fovea/core/cuda/staging.h"
#include "fovea/core/cuda_backend.h"
#include "fovea/core/device_dtype.h"
#include "fovea/core/environment.h"

namespace fovea::cuda {
namespace {

constexpr int kMaxDevices = 64;
thread_local int device_of_thread = 0;

cudaError_t change_device(int device) noexcept {
  // Threads start on device 0, and the runtime's own answer is not asked for: it costs more than the test.
  if (device == device_of_thread) return cudaSuccess;
  const cudaError_t status = cudaSetDevice(device);
  if (status == cudaSuccess) device_of_thread = device;
  return status;
}

CudaStatus ask_driver() {
  int count = 0;
  const cudaError_t found = cudaGetDeviceCount(&count);
  if (found == cudaSuccess && count > 0) return {std::min(count, kMaxDevices), ""};
  cudaGetLastError();  // it is answered: later calls must not report it again
  if (found == cudaSuccess || found == cudaErrorNoDevice) return {0, "there is no CUDA device"};
  if (found == cudaErrorInsufficientDriver) {
    return {0, "there is no NVIDIA driver, or it is older than this build's CUDA runtime needs"};
  }
  return {0, str(cudaGetErrorName(found), ": ", cudaGetErrorString(found))};
}

/// What the driver says once of each device.
class AttributeOfDevices {
 public:
  explicit AttributeOfDevices(cudaDeviceAttr attribute) : attribute_(attribute) {}

  int of(int device) {
    const auto place = static_cast<size_t>(device);
    std::call_once(once_[place], [&] {
      check_cuda(cudaDeviceGetAttribute(&values_[place], attribute_, device), "cuda: attribute of a device");
    });
    return values_[place];
  }
  int of_current() { return of(device_of_thread); }

 private:
  cudaDeviceAttr attribute_;
  std::array<std::once_flag, kMaxDevices> once_;
  std::array<int, kMaxDevices> values_{};
};

/// One stream per device, never destroyed: tensors with static storage may be freed late.
cudaStream_t main_stream(int device) {
  static std::array<std::once_flag, kMaxDevices> once;
  static std::array<cudaStream_t, kMaxDevices> streams{};
  std::call_once(once[static_cast<size_t>(device)], [device] {
    check_cuda(cudaStreamCreateWithFlags(&streams[static_cast<size_t>(device)], cudaStreamNonBlocking),
               "cuda: stream");
  });
  return streams[static_cast<size_t>(device)];
}

}  // namespace

CudaStatus status() {
  static const auto* found = new CudaStatus(ask_driver());  // never destroyed
  return *found;
}

std::string describe(int device) {
  cudaDeviceProp properties{};
  check_cuda(cudaGetDeviceProperties(&properties, device), "cuda: properties of a device");
  const double gibibytes = static_cast<double>(properties.totalGlobalMem >> 20) / 1024;
  std::ostringstream out;
  out.precision(1);
  out << std::fixed << properties.name << ", compute capability " << properties.major << "."
      << properties.minor << ", " << gibibytes << " GiB";
  return out.str();
}

void use_device(int device) {
  check_cuda(change_device(device), "cuda: use of a device", "; wanted ", Device::cuda(device));
}

DeviceScope::DeviceScope(int device) noexcept : before_(device_of_thread), status_(change_device(device)) {}
DeviceScope::~DeviceScope() {
  change_device(before_);
}

bool has_bf16(int device) {
  static AttributeOfDevices majors(cudaDevAttrComputeCapabilityMajor);
  return majors.of(device) >= 8;
}

const char* advice_on(cudaError_t status) {
  if (status != cudaErrorNoKernelImageForDevice) return "";
  return "; this build has no code for the device's compute capability: build with it in "
         "CMAKE_CUDA_ARCHITECTURES, for example 75-real for a Tesla T4";
}

bool is_final(cudaError_t status) {
  switch (status) {
    case cudaErrorECCUncorrectable:
    case cudaErrorNvlinkUncorrectable:
    // After these, the process must be ended (CUDA Runtime API reference, version 13, cudaError_t).
    case cudaErrorContained:
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchTimeout:
    case cudaErrorAssert:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorLaunchFailure:
    case cudaErrorTensorMemoryLeak:
    case cudaErrorMpsClientTerminated:
    case cudaErrorExternalDevice: return true;
    default: return false;
  }
}

bool is_lost(int device) noexcept {
  const DeviceScope scope(device);
  // A call that a recording permits, and that asks the device's context.
  size_t free = 0, total = 0;
  const cudaError_t status = scope.status() != cudaSuccess ? scope.status() : cudaMemGetInfo(&free, &total);
  if (status != cudaSuccess) cudaGetLastError();  // answered
  return is_final(status);
}

void begin_kernel(const char* name, int device) {
  use_device(device);
  nvtxRangePushA(name);
}

void end_kernel() noexcept {
  nvtxRangePop();
}

void check_kernel(const char* name, bool wait) {
  static const bool always_waits = environment("FOVEA_SYNC") == "1";
  if ((wait || always_waits) && !is_recording()) check_cuda(cudaStreamSynchronize(current_stream()), name);
}

int current_device() {
  return device_of_thread;
}

cudaStream_t current_stream() {
  return main_stream(device_of_thread);
}

void* stream(int device) {
  use_device(device);
  return current_stream();
}

bool is_recording() {
  cudaStreamCaptureStatus found = cudaStreamCaptureStatusNone;
  check_cuda(cudaStreamIsCapturing(current_stream(), &found), "cuda: whether a stream is recorded");
  return found != cudaStreamCaptureStatusNone;
}

int multiprocessors() {
  static AttributeOfDevices counts(cudaDevAttrMultiProcessorCount);
  return counts.of_current();
}

int most_shared_memory() {
  static AttributeOfDevices bytes(cudaDevAttrMaxSharedMemoryPerBlockOptin);
  return bytes.of_current();
}

void synchronize(int device) {
  use_device(device);
  check_cuda(cudaStreamSynchronize(current_stream()), "synchronize");
}

void copy(void* to, Device to_device, const void* from, Device from_device, size_t bytes) {
  if (bytes == 0) return;
  const bool is_within = to_device == from_device;
  for (const Device device : {to_device, from_device}) {
    if (is_within || device.is_cpu()) continue;
    use_device(device.index);
    check<DeviceError>(!is_recording(), "copy_from: ", bytes, " bytes from ", from_device, " to ", to_device,
                       " while a graph is recorded, in which only copies within a device have a place");
  }
  if (!is_within && from_device.is_cuda() && to_device.is_cuda()) synchronize(from_device.index);
  use_device((to_device.is_cuda() ? to_device : from_device).index);
  if (from_device.is_cpu()) return copy_staged(to, from, bytes);
  check_cuda(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, current_stream()), "copy_from", ": ", bytes,
             " bytes from ", from_device, " to ", to_device);
  // Within a device the stream orders the copy; where another takes part, it must not run ahead.
  if (!is_within) check_cuda(cudaStreamSynchronize(current_stream()), "copy_from");
}

void fill_with_zeros(void* pointer, size_t bytes, int device) {
  use_device(device);
  if (bytes == 0) return;
  check_cuda(cudaMemsetAsync(pointer, 0, bytes, current_stream()), "fill_with_zeros");
}

}  // namespace fovea::cuda
