#include "fovea/kernels/conv.h"

#include "fovea/core/check.h"
#include "fovea/core/cuda/runtime.h"
#include "fovea/core/device_dtype.h"
#include "fovea/kernels/cuda/add_bias.h"
#include "fovea/kernels/cuda/conv/cudnn_plans.h"
#include "fovea/kernels/reduce.h"

// Convolutions by cuDNN: which engine computes one is settled in conv_plans.
namespace fovea::kernels::cuda {
namespace {

/// x, weight and y as in conv_forward; the one that `pass` computes is written.
void run(ConvPass pass, const Tensor& x, const Tensor& weight, const Tensor& y, int64_t stride,
         int64_t padding) {
  const char* operation = operation_of(pass);
  const Dtype dtype = x.dtype();
  const ConvKey problem{ConvProblem::of(x.shape(), weight.shape(), stride, padding), pass, dtype,
                        dtype == Dtype::f32 && tf32_allowed() && has_bf16(x.device())};
  check(weight.shape() == problem.weight() && y.shape() == problem.y() && weight.dtype() == dtype &&
            y.dtype() == dtype,
        operation, ": x is ", x, ", weight ", weight, ", y ", y, ", stride ", stride, ", padding ", padding,
        "; they do not fit");
  check(dtype == Dtype::f32 || dtype == Dtype::bf16 || dtype == Dtype::f16, operation, ": dtype is ", dtype,
        ", wanted f32, bf16 or f16 on a CUDA device");
  ConvTensors tensors{x, weight, y};
  Tensor& result = tensors.result(pass);
  if (result.size() == 0) return;
  // Sums without terms.
  if (x.size() == 0 || weight.size() == 0 || y.size() == 0) return result.fill_with_zeros();
  try {
    ConvScratch scratch;
    (*plan_for(problem))(tensors, scratch);
  } catch (const DeviceError& error) {
    rethrow_with(error, fovea::cuda::current_device(), problem.str(), operation);
  }
}

}  // namespace

void conv_forward(const Tensor& x, const Tensor& weight, const Tensor& bias, int64_t stride, int64_t padding,
                  Tensor& y) {
  run(ConvPass::forward, x, weight, y, stride, padding);
  if (bias.defined()) add_bias("conv_forward", bias, y);
}

void conv_backward_input(const Tensor& dy, const Tensor& weight, int64_t stride, int64_t padding,
                         Tensor& dx) {
  run(ConvPass::backward_input, dx, weight, dy, stride, padding);
}

void conv_backward_weight(const Tensor& x, const Tensor& dy, int64_t stride, int64_t padding,
                          Tensor& dweight) {
  run(ConvPass::backward_weight, x, dweight, dy, stride, padding);
}

void conv_backward_bias(const Tensor& dy, Tensor& dbias) {
  const int64_t K = dbias.size();
  Tensor row = dbias.reshape({1, K});
  reduce_forward(dy.reshape({1, K == 0 ? 0 : dy.size() / K, K}), /*factor=*/1.0, row);
}

}  // namespace fovea::kernels::cuda
