#include "streams.h"
#include "traffic.h"

// Graphs of the emulated device.

using namespace fovea::emulator;  // NOLINT: what follows are functions of CUDA's interface

cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t*, size_t* count) {
  *count = graph->work.size();
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long) {
  *executable = new EmulatedGraphExec{graph->work};
  return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  TrafficMeter* meter = TrafficMeter::current();
  for (const Work& work : executable->work) {
    if (meter != nullptr) {
      meter->replay(work);
    } else {
      submit(stream, work);
    }
  }
  return remember(cudaSuccess);
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  delete executable;
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}
