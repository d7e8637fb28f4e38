#include <memory>

#include "fovea/core/cuda/allocator.h"
#include "fovea/core/cuda/runtime.h"
#include "fovea/core/cuda_backend.h"

namespace fovea::cuda {

struct Graph {
  explicit Graph(int index) : device(index), pool(allocator_of(index).open_pool()) {
    check<DeviceError>(pool != 0, "CapturedGraph: another graph is being recorded on ", Device::cuda(device));
  }
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;
  ~Graph() {
    // One that is still running is freed when it is done, and the stream orders what uses its memory next.
    if (executable != nullptr) cudaGraphExecDestroy(executable);
    allocator_of(device).drop_pool(pool);
  }

  int device;
  int pool;
  size_t nodes = 0;
  cudaGraphExec_t executable = nullptr;
};

Graph* record_graph(int device, const std::function<void()>& body) {
  use_device(device);
  const cudaStream_t stream = current_stream();  // body may leave this thread on another device
  auto graph = std::make_unique<Graph>(device);
  cudaGraph_t recorded = nullptr;
  const auto end = [&] {
    const cudaError_t status = cudaStreamEndCapture(stream, &recorded);
    allocator_of(device).close_pool();
    return status;
  };
  try {
    // Relaxed: memory may be asked for while recording.
    check_cuda(cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed), "CapturedGraph");
    body();
  } catch (...) {
    end();
    if (recorded != nullptr) cudaGraphDestroy(recorded);
    cudaGetLastError();
    throw;
  }
  check_cuda(end(), "CapturedGraph", "; the function does something that cannot be recorded");
  const cudaError_t counted = cudaGraphGetNodes(recorded, nullptr, &graph->nodes);
  const cudaError_t made =
      counted == cudaSuccess ? cudaGraphInstantiate(&graph->executable, recorded, 0) : counted;
  cudaGraphDestroy(recorded);
  check_cuda(made, "CapturedGraph");
  return graph.release();
}

void replay_graph(const Graph& graph) {
  use_device(graph.device);
  check_cuda(cudaGraphLaunch(graph.executable, current_stream()), "CapturedGraph: replay");
}

int64_t count_nodes(const Graph& graph) {
  return static_cast<int64_t>(graph.nodes);
}

void delete_graph(Graph* graph) noexcept {
  delete graph;
}

}  // namespace fovea::cuda
