#include "fovea/kernels/conv.h"

#include <array>
#include <vector>

#include "fovea/core/parallel_for.h"
#include "fovea/kernels/cpu/column_sums.h"
#include "fovea/kernels/cpu/conv/choice.h"
#include "fovea/kernels/cpu/conv/chunked.h"
#include "fovea/kernels/cpu/conv/unfold.h"
#include "fovea/kernels/cpu/in_f32.h"

namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT {
namespace {

template <class T>
void add_bias(const Tensor& bias, Tensor& y) {
  const int64_t K = bias.size();
  const T* b = bias.data<T>();
  T* values = y.data<T>();
  parallel_for(y.size() / K, 4096, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      for (int64_t k = 0; k < K; ++k) {
        values[row * K + k] =
            T(static_cast<Accumulator<T>>(values[row * K + k]) + static_cast<Accumulator<T>>(b[k]));
      }
    }
  });
}

}  // namespace

void conv_forward(const Tensor& x, const Tensor& weight, const Tensor& bias, int64_t stride, int64_t padding,
                  Tensor& y) {
  const ConvProblem problem = ConvProblem::of(x.shape(), weight.shape(), stride, padding);
  switch (choose(ConvPass::forward, problem, x.dtype())) {
    case ConvEngine::onednn:
    case ConvEngine::winograd:
      compute_in_f32(y, [&](Tensor& wide) { chunked::conv_forward(problem, as_f32(x), weight, wide); });
      break;
    case ConvEngine::narrow:
    case ConvEngine::unfolded: unfolded::conv_forward(problem, x, weight, y); break;
  }
  if (bias.defined()) visit_floating("conv_forward", x.dtype(), [&]<class T>() { add_bias<T>(bias, y); });
}

void conv_backward_input(const Tensor& dy, const Tensor& weight, int64_t stride, int64_t padding,
                         Tensor& dx) {
  const ConvProblem problem = ConvProblem::of(dx.shape(), weight.shape(), stride, padding);
  switch (choose(ConvPass::backward_input, problem, dx.dtype())) {
    case ConvEngine::onednn:
    case ConvEngine::winograd:
      return compute_in_f32(
          dx, [&](Tensor& wide) { chunked::conv_backward_input(problem, as_f32(dy), weight, wide); });
    case ConvEngine::narrow:
      return compute_in_f32(
          dx, [&](Tensor& wide) { narrow::conv_backward_input(problem, as_f32(dy), as_f32(weight), wide); });
    case ConvEngine::unfolded: return unfolded::conv_backward_input(problem, dy, weight, dx);
  }
}

void conv_backward_weight(const Tensor& x, const Tensor& dy, int64_t stride, int64_t padding,
                          Tensor& dweight) {
  const ConvProblem problem = ConvProblem::of(x.shape(), dweight.shape(), stride, padding);
  switch (choose(ConvPass::backward_weight, problem, x.dtype())) {
    case ConvEngine::onednn:
    case ConvEngine::winograd:
      return compute_in_f32(dweight, [&](Tensor& wide) {
        chunked::conv_backward_weight(problem, as_f32(x), as_f32(dy), wide);
      });
    case ConvEngine::narrow:
      return compute_in_f32(
          dweight, [&](Tensor& wide) { narrow::conv_backward_weight(problem, as_f32(x), as_f32(dy), wide); });
    case ConvEngine::unfolded: return unfolded::conv_backward_weight(problem, x, dy, dweight);
  }
}

void conv_backward_bias(const Tensor& dy, Tensor& dbias) {
  const int64_t K = dbias.size();
  visit_floating("conv_backward_bias", dy.dtype(), [&]<class T>() {
    using A = Accumulator<T>;
    const T* values = dy.data<T>();
    const auto term_at = [=](int64_t k, auto lanes, Interval) {
      return [=](int64_t row) { return std::array<Vec<A>, 1>{load(values + row * K + k, lanes)}; };
    };
    const std::vector<double> sums = column_sums<A, 1>(dy.size() / K, K, term_at);
    const int64_t groups = static_cast<int64_t>(sums.size()) / K;
    for (int64_t k = 0; k < K; ++k) {
      dbias.data<T>()[k] = T(sum_by_pairs<A>(
          groups, [&](int64_t group) { return static_cast<A>(sums[static_cast<size_t>(group * K + k)]); }));
    }
  });
}

}  // namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT
