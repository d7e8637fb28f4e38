#include "fovea/core/stream.h"

#include "fovea/core/check.h"
#include "fovea/core/cuda_backend.h"

namespace fovea {

void synchronize(Device device) {
  if (device.is_cuda() && cuda_status().device_count > 0) cuda::synchronize(device.index);
}

struct CapturedGraph::Recording {
  explicit Recording(cuda::Graph* graph_) : graph(graph_) {}
  ~Recording() { cuda::delete_graph(graph); }
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;

  cuda::Graph* graph;
};

CapturedGraph::CapturedGraph(Device device, const std::function<void()>& body) {
  check<DeviceError>(device.is_cuda() && device.index < cuda_status().device_count,
                     "CapturedGraph: wanted a CUDA device that can be used, found ", device, " ",
                     cuda_status().reason);
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
