#include "fovea/kernels/matmul.h"

#include <cublasLt.h>

#include <algorithm>
#include <bit>
#include <map>
#include <mutex>
#include <optional>

#include "fovea/core/check.h"
#include "fovea/core/cuda/runtime.h"
#include "fovea/core/device_dtype.h"
#include "fovea/core/lru_cache.h"
#include "fovea/kernels/cuda/add_bias.h"
#include "fovea/kernels/cuda/workspace.h"

// Products by cuBLASLt. It counts matrices by columns, so that our rows are its columns: it computes
// y^T = op(b)^T * op(a)^T.
namespace fovea::kernels::cuda {
namespace {

constexpr uint64_t kWorkspaceLimit = uint64_t{32} << 20;  // what NVIDIA advises for Hopper
// Split sums are added in f32, in a fixed order; not in the 16 bits of the result.
constexpr uint32_t kReductions = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;

/// A DeviceError "matmul: <action>: <cuBLAS's words>" unless `status` is success.
void check_cublas(cublasStatus_t status, const char* action) {
  check<DeviceError>(status == CUBLAS_STATUS_SUCCESS, "matmul: ", action, ": ", cublasLtGetStatusName(status),
                     ": ", cublasLtGetStatusString(status));
}

cudaDataType_t data_type(Dtype dtype) {
  switch (dtype) {
    case Dtype::f32: return CUDA_R_32F;
    case Dtype::bf16: return CUDA_R_16BF;
    case Dtype::f16: return CUDA_R_16F;
    default: break;
  }
  throw Error(str("matmul: dtype is ", dtype, ", wanted f32, bf16 or f16 on a CUDA device"));
}

/// 256 bytes at most: more is of no use to cuBLAS.
uint32_t alignment_of(const Tensor& tensor) {
  if (!tensor.defined()) return 256;
  const auto address = reinterpret_cast<uintptr_t>(tensor.raw());
  return uint32_t{1} << std::min(std::countr_zero(address), 8);
}

/// Everything on which the choice of an algorithm depends.
struct Problem {
  int device;
  Dtype dtype;
  bool tf32, transpose_a, transpose_b, has_bias;
  int64_t M, N, K;
  uint32_t a_alignment, b_alignment, y_alignment, bias_alignment;
  friend auto operator<=>(const Problem&, const Problem&) = default;
};

/// The descriptions of a product that cuBLAS wants. They live on the stack and own nothing.
struct Description {
  explicit Description(const Problem& problem) {
    const cudaDataType_t type = data_type(problem.dtype);
    check_cublas(
        cublasLtMatmulDescInit(&operation, problem.tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F,
                               CUDA_R_32F),
        "describe the product");
    set(CUBLASLT_MATMUL_DESC_TRANSA, problem.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N);
    set(CUBLASLT_MATMUL_DESC_TRANSB, problem.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N);
    const auto describe = [type](cublasLtMatrixLayoutOpaque_t& layout, int64_t rows, int64_t columns) {
      check_cublas(cublasLtMatrixLayoutInit(&layout, type, static_cast<uint64_t>(columns),
                                            static_cast<uint64_t>(rows), columns),
                   "describe a matrix");
    };
    const auto [M, N, K] = std::tuple(problem.M, problem.N, problem.K);
    problem.transpose_a ? describe(a, K, M) : describe(a, M, K);
    problem.transpose_b ? describe(b, N, K) : describe(b, K, N);
    describe(y, M, N);
  }

  template <class T>
  void set(cublasLtMatmulDescAttributes_t name, const T& value) {
    check_cublas(cublasLtMatmulDescSetAttribute(&operation, name, &value, sizeof(value)),
                 "describe the product");
  }
  void add_bias(const void* bias) {
    set(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
    set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
  }

  cublasLtMatmulDescOpaque_t operation{};
  cublasLtMatrixLayoutOpaque_t a{}, b{}, y{};
};

cublasLtHandle_t handle_of(int device) {
  static auto* mutex = new std::mutex;
  static auto* handles = new std::map<int, cublasLtHandle_t>;
  const std::lock_guard lock(*mutex);
  cublasLtHandle_t& handle = (*handles)[device];
  if (handle == nullptr) check_cublas(cublasLtCreate(&handle), "start cuBLAS");
  return handle;
}

/// An algorithm, and whether it adds the bias.
struct Plan {
  cublasLtMatmulAlgo_t algorithm;
  int64_t workspace_bytes;
  bool adds_bias;
};

/// What cuBLAS thinks best, if it can do this at all.
std::optional<Plan> ask(const Problem& problem, const void* bias) {
  Description description(problem);
  if (bias != nullptr) description.add_bias(bias);
  cublasLtMatmulPreferenceOpaque_t preference{};
  check_cublas(cublasLtMatmulPreferenceInit(&preference), "choose an algorithm");
  const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t name, auto value) {
    check_cublas(cublasLtMatmulPreferenceSetAttribute(&preference, name, &value, sizeof(value)),
                 "choose an algorithm");
  };
  prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, kWorkspaceLimit);
  prefer(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, kReductions);
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, problem.b_alignment);
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, problem.a_alignment);
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, problem.y_alignment);
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, problem.y_alignment);
  cublasLtMatmulHeuristicResult_t result{};
  int count = 0;
  const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(
      handle_of(problem.device), &description.operation, &description.b, &description.a, &description.y,
      &description.y, &preference, /*requestedAlgoCount=*/1, &result, &count);
  if (status == CUBLAS_STATUS_NOT_SUPPORTED || (status == CUBLAS_STATUS_SUCCESS && count == 0)) return {};
  check_cublas(status, "choose an algorithm");
  return Plan{result.algo, static_cast<int64_t>(result.workspaceSize), bias != nullptr};
}

Plan plan_for(const Problem& problem, const void* bias) {
  static auto* mutex = new std::mutex;
  static auto* plans = new LruCache<Problem, Plan>(/*capacity=*/4096);
  const std::lock_guard lock(*mutex);
  if (const auto known = plans->find(problem)) return *known;
  std::optional<Plan> plan;
  if (problem.bias_alignment >= 16) plan = ask(problem, bias);
  if (!plan) plan = ask(problem, nullptr);
  check<DeviceError>(plan.has_value(), "matmul: cuBLAS has no algorithm");
  return *plans->add(problem, *plan);
}

void multiply(const Problem& problem, const Tensor& a, const Tensor& b, const Tensor& bias, Tensor& y) {
  const Plan plan = plan_for(problem, bias.defined() ? bias.raw() : nullptr);
  Description description(problem);
  if (plan.adds_bias) description.add_bias(bias.raw());
  Tensor workspace = workspace_of(plan.workspace_bytes, y.device());
  const float one = 1, zero = 0;
  check_cublas(cublasLtMatmul(handle_of(problem.device), &description.operation, &one, b.raw(),
                              &description.b, a.raw(), &description.a, &zero, y.raw(), &description.y,
                              y.raw(), &description.y, &plan.algorithm, address_of(workspace),
                              static_cast<size_t>(plan.workspace_bytes), fovea::cuda::current_stream()),
               "multiply");
  if (bias.defined() && !plan.adds_bias) add_bias("matmul", bias, y);
}

}  // namespace

void matmul_forward(const Tensor& a, bool transpose_a, const Tensor& b, bool transpose_b, const Tensor& bias,
                    Tensor& y) {
  const int64_t M = y.shape(0), N = y.shape(1), K = a.shape(transpose_a ? 0 : 1);
  const Dtype dtype = y.dtype();
  check(a.shape() == (transpose_a ? Shape{K, M} : Shape{M, K}) &&
            b.shape() == (transpose_b ? Shape{N, K} : Shape{K, N}) && a.dtype() == dtype &&
            b.dtype() == dtype && (!bias.defined() || (bias.size() == N && bias.dtype() == dtype)),
        "matmul: a is ", a, transpose_a ? " transposed" : "", ", b ", b, transpose_b ? " transposed" : "",
        ", bias ", bias, ", y ", y, "; they do not fit");
  if (y.size() == 0) return;
  if (K == 0) {
    y.fill_with_zeros();
    if (bias.defined()) add_bias("matmul", bias, y);
    return;
  }
  const Problem problem{fovea::cuda::current_device(),
                        dtype,
                        dtype == Dtype::f32 && tf32_allowed() && has_bf16(y.device()),
                        transpose_a,
                        transpose_b,
                        bias.defined(),
                        M,
                        N,
                        K,
                        alignment_of(a),
                        alignment_of(b),
                        alignment_of(y),
                        alignment_of(bias)};
  multiply(problem, a, b, bias, y);
}

}  // namespace fovea::kernels::cuda
