#include "fovea/kernels/cuda/conv/stopwatch.h"

#include <algorithm>
#include <array>

#include "fovea/core/cuda/runtime.h"
#include "fovea/core/cuda_backend.h"

namespace fovea::kernels::cuda {
namespace {

using fovea::cuda::check_cuda;
using fovea::cuda::current_stream;

/// A graph that is replayed at once and then forgotten. CapturedGraph is for those that stay: it gives each
/// memory of its own.
class Recording {
 public:
  explicit Recording(const std::function<void()>& body) {
    check_cuda(cudaStreamBeginCapture(current_stream(), cudaStreamCaptureModeRelaxed), "stopwatch: record");
    try {
      body();
    } catch (...) {
      end();
      if (executable_ != nullptr) cudaGraphExecDestroy(executable_);
      cudaGetLastError();  // the body has said what is wrong
      throw;
    }
    check_cuda(end(), "stopwatch: record");
  }
  ~Recording() {
    if (executable_ != nullptr) cudaGraphExecDestroy(executable_);
  }
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;

  void replay() const { check_cuda(cudaGraphLaunch(executable_, current_stream()), "stopwatch: replay"); }

 private:
  cudaError_t end() {
    cudaGraph_t graph = nullptr;
    cudaError_t status = cudaStreamEndCapture(current_stream(), &graph);
    if (status == cudaSuccess) status = cudaGraphInstantiate(&executable_, graph, 0);
    if (graph != nullptr) cudaGraphDestroy(graph);
    return status;
  }

  cudaGraphExec_t executable_ = nullptr;
};

double elapsed(const std::function<void()>& body) {
  return fovea::cuda::seconds_on(fovea::cuda::current_device(), body);
}

}  // namespace

double seconds_in_graph(const std::function<void()>& body) {
  constexpr double kReplay = 2e-4;  // seconds that a replay should take at least: an event is good to 1e-6
  constexpr double kMostCalls = 20;
  const double once = elapsed(body);
  const int calls = static_cast<int>(std::clamp(kReplay / std::max(once, 1e-7), 1.0, kMostCalls));
  const Recording recording([&] {
    for (int i = 0; i < calls; ++i) body();
  });
  recording.replay();
  std::array<double, 5> times{};
  for (double& time : times) {
    time = elapsed([&] { recording.replay(); });
  }
  std::sort(times.begin(), times.end());
  return times[times.size() / 2] / calls;
}

}  // namespace fovea::kernels::cuda
