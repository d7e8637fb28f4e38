#include "fovea/core/captured_graph.h"

#include <chrono>

#include "fovea/core/check.h"
#include "fovea/core/cuda_backend.h"

namespace fovea {
namespace {

void check_cuda_device(const char* operation, Device device) {
  check<DeviceError>(device.is_cuda() && device.index < cuda_status().device_count, operation,
                     ": wanted a CUDA device that can be used, found ", device, " ", cuda_status().reason);
}

}  // namespace

void synchronize(Device device) {
  if (device.is_cuda() && cuda_status().device_count > 0) cuda::synchronize(device.index);
}

double seconds_on(Device device, const std::function<void()>& body) {
  if (device.is_cuda()) {
    check_cuda_device("seconds_on", device);
    return cuda::seconds_on(device.index, body);
  }
  const auto begin = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

int64_t cache_bytes(Device device) {
  check_cuda_device("cache_bytes", device);
  return cuda::cache_bytes(device.index);
}

struct CapturedGraph::Recording {
  explicit Recording(cuda::Graph* graph_) : graph(graph_) {}
  ~Recording() { cuda::delete_graph(graph); }
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;

  cuda::Graph* graph;
};

CapturedGraph::CapturedGraph(Device device, const std::function<void()>& body) {
  check_cuda_device("CapturedGraph", device);
  recording_ = std::make_unique<Recording>(cuda::record_graph(device.index, body));
}
CapturedGraph::~CapturedGraph() = default;
CapturedGraph::CapturedGraph(CapturedGraph&&) noexcept = default;
CapturedGraph& CapturedGraph::operator=(CapturedGraph&&) noexcept = default;

void CapturedGraph::replay() const {
  cuda::replay_graph(*recording_->graph);
}

int64_t CapturedGraph::nodes() const {
  return cuda::count_nodes(*recording_->graph);
}

}  // namespace fovea
