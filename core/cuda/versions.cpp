#include <cublasLt.h>
#include <cuda_runtime_api.h>
#include <cudnn_graph.h>

#include "fovea/core/check.h"
#include "fovea/core/cuda_backend.h"

namespace fovea::cuda {
namespace {

// 13.0 of 13000, as CUDA counts.
std::string cuda_version(int version) {
  return version == 0 ? "none" : str(version / 1000, ".", version % 1000 / 10);
}

}  // namespace

std::string versions() {
  int runtime = 0, driver = 0;
  cudaRuntimeGetVersion(&runtime);
  cudaDriverGetVersion(&driver);  // 0 without one
  cudaGetLastError();             // it is answered: later calls must not report it again
  const size_t cudnn = cudnnGetVersion(), cublas = cublasLtGetVersion();
  return str("CUDA runtime ", cuda_version(runtime), ", driver ", cuda_version(driver), ", cuDNN ",
             cudnn / 10000, ".", cudnn / 100 % 100, ".", cudnn % 100, ", cuBLASLt ", cublas / 10000, ".",
             cublas / 100 % 100, ".", cublas % 100);
}

}  // namespace fovea::cuda
