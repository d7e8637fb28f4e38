#include "fovea/kernels/batch_norm.h"

#include "fovea/core/ranks.h"
#include "fovea/kernels/arithmetic.h"
#include "fovea/layers/functional.h"
#include "fovea/layers/functional/defined.h"
#include "fovea/layers/functional/norm_constants.h"

namespace fovea {

void check_norm(const char* operation, const Shape& x, Dtype dtype, const Tensor& weight, const Tensor& bias,
                const Tensor& running_mean, const Tensor& running_variance,
                const F::BatchNormSettings& settings) {
  check(x.rank() >= 2 && x.size() > 0, operation, ": x is ", dtype, x,
        ", wanted [..., C] with at least one row");
  const Shape channels{x[-1]};
  const Dtype wanted = accumulator_of(dtype);
  const auto check_channels = [&](const char* name, const Tensor& tensor) {
    check(tensor.shape() == channels && tensor.dtype() == wanted, operation, ": x is ", dtype, x, ", but ",
          name, " is ", tensor, ", wanted ", wanted, channels);
  };
  check_channels("weight", weight);
  check_channels("bias", bias);
  check_channels("running_mean", running_mean);
  check_channels("running_variance", running_variance);
  const Ranks* const ranks = ranks_of_statistics();
  const int64_t rows = x.size() / channels[0] * (ranks == nullptr ? 1 : ranks->size());
  check(!settings.training || rows > 1, operation, ": x is ", dtype, x,
        ": one row has no variance to train with; use a larger batch, or train(false)");
}

kernels::NormConstants norm_constants(const Tensor& x, const ChannelMoments& moments, const Tensor& weight,
                                      const Tensor& bias, Tensor& running_mean, Tensor& running_variance,
                                      const F::BatchNormSettings& settings) {
  kernels::NormConstants norm{running_mean,     running_variance,  weight, bias,
                              settings.epsilon, settings.training, {}};
  if (settings.training) {
    ChannelMoments of_batch = moments;
    if (!of_batch.mean.defined()) {
      of_batch = new_moments(running_mean.size(), running_mean.dtype(), running_mean.device());
      kernels::batch_norm_statistics(x, of_batch.mean, of_batch.variance);
      join_over_ranks(of_batch, running_mean.dtype());
    }
    norm.mean = of_batch.mean;
    norm.variance = of_batch.variance;
    if (Ranks* const ranks = ranks_of_statistics()) norm.shares = ranks->size();
    if (settings.moves_running && settings.momentum != 0)
      norm.running = {running_mean, running_variance, settings.momentum};
  }
  return norm;
}

NormSums sums_over_ranks(const kernels::NormConstants& norm, Tensor& dweight, Tensor& dbias) {
  if (norm.shares == 1) return {dweight, dbias};
  Ranks* const ranks = ranks_of_statistics();
  check<UsageError>(
      ranks != nullptr, "batch_norm: the statistics are of ", norm.shares,
      " shares of a batch, but no other rank is there in the backward pass; keep the SharedBatch "
      "of the forward pass until then");
  const int64_t C = dweight.size();
  Tensor sums = Tensor::empty({2, C}, dweight.dtype(), dweight.device());
  NormSums result{sums.slice(0, {C}), sums.slice(C, {C})};
  result.dweight.copy_from(dweight);
  result.dbias.copy_from(dbias);
  ranks->sum(sums);
  const double part = 1.0 / static_cast<double>(norm.shares);
  kernels::scale_forward(result.dweight, part, dweight);
  kernels::scale_forward(result.dbias, part, dbias);
  return result;
}

void keep_for_backward(kernels::NormConstants& norm) {
  norm.running = {};
  if (norm.of_batch || !grad_enabled()) return;
  norm.mean = norm.mean.clone();
  norm.variance = norm.variance.clone();
}

std::vector<Attribute> norm_attributes(const Tensor& running_mean, const Tensor& running_variance,
                                       const F::BatchNormSettings& settings) {
  return {{"running_mean", running_mean},
          {"running_variance", running_variance},
          {"epsilon", settings.epsilon},
          {"training", int64_t{settings.training}}};
}

namespace {

Variable normalise(const char* operation, const Variable& x, const Variable& weight, const Variable& bias,
                   Tensor& running_mean, Tensor& running_variance, const F::BatchNormSettings& settings,
                   bool has_relu) {
  check_defined(operation, "x", x, "weight", weight, "bias", bias);
  const Tensor& xt = x.value();
  check_norm(operation, xt.shape(), xt.dtype(), weight.value(), bias.value(), running_mean, running_variance,
             settings);
  kernels::NormConstants norm = norm_constants(xt, moments_of(x), weight.value(), bias.value(), running_mean,
                                               running_variance, settings);
  Tensor y = Tensor::empty_like(xt);
  kernels::batch_norm_forward(xt, norm, has_relu, y);
  keep_for_backward(norm);
  const bool needs_dx = x.requires_grad();
  return record({operation, norm_attributes(running_mean, running_variance, settings)}, y, {x, weight, bias},
                [=](const Tensor& dy) -> std::vector<Tensor> {
                  Tensor dweight = weight.new_gradient(), dbias = bias.new_gradient(), dx;
                  kernels::batch_norm_backward_reduce(dy, xt, norm, has_relu, dweight, dbias);
                  const NormSums sums = sums_over_ranks(norm, dweight, dbias);
                  if (needs_dx) {
                    // A gradient that nothing else holds gives its memory: a quarter less of it is moved.
                    dx = dy.use_count() == 1 ? dy : Tensor::empty_like(xt);
                    kernels::batch_norm_backward_input(dy, xt, norm, sums.dweight, sums.dbias, has_relu,
                                                       /*other=*/{}, dx);
                  }
                  return {dx, dweight, dbias};
                },
                {xt, norm.mean, norm.variance, norm.weight, norm.bias});
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
