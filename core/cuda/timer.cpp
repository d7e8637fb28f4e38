#include "fovea/core/cuda/runtime.h"
#include "fovea/core/cuda_backend.h"

namespace fovea::cuda {
namespace {

class Event {
 public:
  Event() { check_cuda(cudaEventCreate(&event_), "seconds_on: event"); }
  ~Event() { cudaEventDestroy(event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  void record() { check_cuda(cudaEventRecord(event_, current_stream()), "seconds_on: event"); }
  double seconds_since(const Event& earlier) const {
    float milliseconds = 0;
    check_cuda(cudaEventSynchronize(event_), "seconds_on");
    check_cuda(cudaEventElapsedTime(&milliseconds, earlier.event_, event_), "seconds_on");
    return static_cast<double>(milliseconds) / 1e3;
  }

 private:
  cudaEvent_t event_ = nullptr;
};

}  // namespace

double seconds_on(int device, const std::function<void()>& body) {
  use_device(device);
  Event begin, end;
  begin.record();
  body();
  use_device(device);  // body may have launched on another one
  end.record();
  return end.seconds_since(begin);
}

int64_t cache_bytes(int device) {
  int bytes = 0;
  check_cuda(cudaDeviceGetAttribute(&bytes, cudaDevAttrL2CacheSize, device), "cache_bytes");
  return bytes;
}

}  // namespace fovea::cuda
