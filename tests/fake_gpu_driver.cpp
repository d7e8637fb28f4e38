// What gpu_clocks.cpp asks of the CUDA driver and of NVML, for the tests: a library that goes by either name.
// Device 0 has the address "0000:C3:00.0". FAKE_GPU_REASONS has the bits of the reasons for lower clocks, in
// hexadecimal; FAKE_GPU_FAILS names a function that fails.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

constexpr const char* kAddress = "0000:C3:00.0";
int device;  // its address is the handle

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

int status_of(const char* function) {
  return variable("FAKE_GPU_FAILS") == function ? 999 : 0;
}

void copy(const char* text, char* to, size_t size) {
  std::snprintf(to, size, "%s", text);
}

}  // namespace

extern "C" {

int cuInit(unsigned) {
  return status_of("cuInit");
}
int cuDeviceGet(int* found, int index) {
  *found = 7;
  return index == 0 ? 0 : 101;
}
int cuDeviceGetPCIBusId(char* address, int size, int found) {
  copy(kAddress, address, static_cast<size_t>(size));
  return found == 7 ? 0 : 101;
}

int nvmlInit_v2() {
  return status_of("nvmlInit_v2");
}
int nvmlShutdown() {
  return 0;
}
int nvmlSystemGetDriverVersion(char* version, unsigned size) {
  copy("580.95.05", version, size);
  return 0;
}
int nvmlDeviceGetHandleByPciBusId_v2(const char* address, void** handle) {
  *handle = &device;
  return std::strcmp(address, kAddress) == 0 ? 0 : 6;
}
int nvmlDeviceGetClockInfo(void* handle, int type, unsigned* megahertz) {
  *megahertz = type == 1 ? 1410 : 2619;
  return handle == &device ? status_of("nvmlDeviceGetClockInfo") : 2;
}
int nvmlDeviceGetMaxClockInfo(void* handle, int type, unsigned* megahertz) {
  *megahertz = type == 1 ? 1980 : 2619;
  return handle == &device ? 0 : 2;
}
int nvmlDeviceGetCurrentClocksThrottleReasons(void* handle, unsigned long long* reasons) {
  *reasons = std::strtoull(variable("FAKE_GPU_REASONS").c_str(), nullptr, 16);
  return handle == &device ? 0 : 2;
}

}  // extern "C"
