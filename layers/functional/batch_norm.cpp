#include "fovea/kernels/batch_norm.h"

#include "fovea/layers/functional.h"

namespace fovea {
namespace {

Variable normalise(const char* operation, const Variable& x, const Variable& weight, const Variable& bias,
                   Tensor& running_mean, Tensor& running_variance, const F::BatchNormSettings& settings,
                   bool has_relu) {
  const Tensor xt = x.value(), wt = weight.value(), bt = bias.value();
  check(xt.rank() >= 2 && xt.size() > 0, operation, ": x is ", xt, ", wanted [..., C] with at least one row");
  const Shape channels{xt.shape(-1)};
  const Dtype dtype = accumulator_of(xt.dtype());
  const auto check_channels = [&](const char* name, const Tensor& tensor) {
    check(tensor.shape() == channels && tensor.dtype() == dtype, operation, ": x is ", xt, ", but ", name,
          " is ", tensor, ", wanted ", dtype, channels);
  };
  check_channels("weight", wt);
  check_channels("bias", bt);
  check_channels("running_mean", running_mean);
  check_channels("running_variance", running_variance);
  const int64_t rows = xt.size() / channels[0];
  check(!settings.training || rows > 1, operation, ": x is ", xt,
        ": one row has no variance to train with; use a larger batch, or train(false)");

  kernels::Normalisation norm{running_mean, running_variance, wt, bt, settings.epsilon, settings.training};
  if (settings.training) {
    norm.mean = Tensor::empty(channels, dtype, xt.device());
    norm.variance = Tensor::empty(channels, dtype, xt.device());
    kernels::batch_norm_statistics(xt, norm.mean, norm.variance);
    kernels::batch_norm_update_running(norm.mean, norm.variance, rows, settings.momentum, running_mean,
                                       running_variance);
  }
  Tensor y = Tensor::empty_like(xt);
  kernels::batch_norm_forward(xt, norm, has_relu, y);

  const bool needs_dx = x.requires_grad();
  return record(operation, y, {x, weight, bias}, [=](const Tensor& dy) -> std::vector<Tensor> {
    Tensor dweight = weight.new_gradient(), dbias = bias.new_gradient(), dx;
    kernels::batch_norm_backward_reduce(dy, xt, norm, has_relu, dweight, dbias);
    if (needs_dx) {
      // A gradient that nothing else holds gives its memory: a quarter less of it is moved.
      dx = dy.use_count() == 1 ? dy : Tensor::empty_like(xt);
      kernels::batch_norm_backward_input(dy, xt, norm, dweight, dbias, has_relu, /*other=*/{}, dx);
    }
    return {dx, dweight, dbias};
  });
}

}  // namespace

Variable F::batch_norm(const Variable& x, const Variable& weight, const Variable& bias, Tensor& running_mean,
                       Tensor& running_variance, const BatchNormSettings& settings) {
  return normalise("batch_norm", x, weight, bias, running_mean, running_variance, settings,
                   /*has_relu=*/false);
}

Variable F::batch_norm_relu(const Variable& x, const Variable& weight, const Variable& bias,
                            Tensor& running_mean, Tensor& running_variance,
                            const BatchNormSettings& settings) {
  return normalise("batch_norm_relu", x, weight, bias, running_mean, running_variance, settings,
                   /*has_relu=*/true);
}

}  // namespace fovea
