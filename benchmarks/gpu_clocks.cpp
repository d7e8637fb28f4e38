#include "gpu_clocks.h"

#include <dlfcn.h>

#include <array>

namespace fovea::bench {
namespace {

// From NVML's interface: NVIDIA's nvml.h.
constexpr int kSuccess = 0;
constexpr int kMultiprocessors = 1, kMemory = 2;  // nvmlClockType_t

struct Reason {
  unsigned long long bits;  // of nvmlClocksEventReasons
  const char* name;
};
constexpr std::array<Reason, 3> kReasons{
    {{0x04, "power cap"}, {0x20 | 0x40, "heat"}, {0x08 | 0x80, "hardware"}}};

void* open_library(const char* name) {
  return dlopen(name, RTLD_NOW | RTLD_LOCAL);
}

template <class Function>
bool find(void* library, const char* name, Function*& function) {
  function = reinterpret_cast<Function*>(dlsym(library, name));
  return function != nullptr;
}

/// The device's address on the bus, by which NVML finds it whatever order CUDA counts in; "" without a
/// driver.
std::string bus_address(int index) {
  void* const driver = open_library("libcuda.so.1");
  if (driver == nullptr) return "";
  int (*initialise)(unsigned) = nullptr;
  int (*device_at)(int*, int) = nullptr;
  int (*address_of)(char*, int, int) = nullptr;
  std::array<char, 32> address{};
  int device = 0;
  const bool is_found = find(driver, "cuInit", initialise) && find(driver, "cuDeviceGet", device_at) &&
                        find(driver, "cuDeviceGetPCIBusId", address_of) && initialise(0) == kSuccess &&
                        device_at(&device, index) == kSuccess &&
                        address_of(address.data(), static_cast<int>(address.size()), device) == kSuccess;
  return is_found ? std::string(address.data()) : "";  // the driver stays loaded: CUDA uses it
}

}  // namespace

struct GpuClocks::Library {
  ~Library() {
    if (shutdown != nullptr) shutdown();
    if (handle != nullptr) dlclose(handle);
  }

  void* handle = nullptr;
  int (*shutdown)() = nullptr;  // set once it is initialised
  int (*driver_version)(char*, unsigned) = nullptr;
  int (*device_at)(const char*, void**) = nullptr;
  int (*clock)(void*, int, unsigned*) = nullptr;
  int (*most_clock)(void*, int, unsigned*) = nullptr;
  int (*reasons)(void*, unsigned long long*) = nullptr;
};

GpuClocks::GpuClocks(int index) : library_(std::make_unique<Library>()) {
  Library& own = *library_;
  own.handle = open_library("libnvidia-ml.so.1");
  if (own.handle == nullptr) {
    reason_ = "libnvidia-ml.so.1 not found";
    return;
  }
  int (*initialise)() = nullptr;
  int (*shutdown)() = nullptr;
  // The reasons have another name in drivers before 535.
  const bool is_complete = find(own.handle, "nvmlInit_v2", initialise) &&
                           find(own.handle, "nvmlShutdown", shutdown) &&
                           find(own.handle, "nvmlSystemGetDriverVersion", own.driver_version) &&
                           find(own.handle, "nvmlDeviceGetHandleByPciBusId_v2", own.device_at) &&
                           find(own.handle, "nvmlDeviceGetClockInfo", own.clock) &&
                           find(own.handle, "nvmlDeviceGetMaxClockInfo", own.most_clock) &&
                           (find(own.handle, "nvmlDeviceGetCurrentClocksEventReasons", own.reasons) ||
                            find(own.handle, "nvmlDeviceGetCurrentClocksThrottleReasons", own.reasons));
  if (!is_complete) {
    reason_ = "libnvidia-ml.so.1 lacks a function";
    return;
  }
  if (initialise() != kSuccess) {
    reason_ = "NVML cannot be initialised";
    return;
  }
  own.shutdown = shutdown;
  const std::string address = bus_address(index);
  if (address.empty() || own.device_at(address.c_str(), &device_) != kSuccess) {
    device_ = nullptr;
    reason_ = "NVML does not know the device";
  }
}

GpuClocks::~GpuClocks() = default;

std::string GpuClocks::driver() const {
  std::array<char, 96> version{};
  if (!is_available() ||
      library_->driver_version(version.data(), static_cast<unsigned>(version.size())) != kSuccess) {
    return "";
  }
  return version.data();
}

int GpuClocks::clock(bool is_most, int type) const {
  unsigned megahertz = 0;
  if (!is_available()) return 0;
  const int status =
      is_most ? library_->most_clock(device_, type, &megahertz) : library_->clock(device_, type, &megahertz);
  return status == kSuccess ? static_cast<int>(megahertz) : 0;
}

int GpuClocks::multiprocessor_clock() const {
  return clock(/*is_most=*/false, kMultiprocessors);
}
int GpuClocks::most_multiprocessor_clock() const {
  return clock(/*is_most=*/true, kMultiprocessors);
}
int GpuClocks::memory_clock() const {
  return clock(/*is_most=*/false, kMemory);
}

std::string GpuClocks::throttled_by() const {
  unsigned long long bits = 0;
  if (!is_available() || library_->reasons(device_, &bits) != kSuccess) return "";
  std::string text;
  for (const Reason& reason : kReasons) {
    if ((bits & reason.bits) == 0) continue;
    if (!text.empty()) text += ", ";
    text += reason.name;
  }
  return text;
}

}  // namespace fovea::bench
