#include "fovea/kernels/cpu/preactivation_conv_onednn.h"

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "fovea/core/parallel_for.h"
#include "fovea/kernels/cpu/affine.h"
#include "fovea/kernels/cpu/column_sums.h"
#include "fovea/kernels/cpu/conv_onednn.h"
#include "fovea/kernels/cpu/conv_plan.h"
#include "fovea/kernels/cpu/moments.h"
#include "fovea/kernels/cpu/rows.h"
#include "fovea/kernels/cpu/target.h"

// A thread takes a chunk that fits into its L2 cache through everything: activate, convolve, add, sum up.
// What goes through memory is x and y (and their gradients), once; the convolutions find the rest in the
// cache.
namespace fovea::kernels::cpu::onednn {
namespace {

/// The gradient of y from that of relu(norm(y)): see BackwardAffine.
void pass_back(const BackwardAffine<float>& affine, const float* dy, const float* y, int64_t count,
               float* to) {
  affine.for_each(count, /*has_relu=*/true, [=](int64_t i, auto lanes, const auto& gradient) {
    prefetch_ahead(dy + i);
    prefetch_ahead(y + i);
    store(to + i, lanes, gradient(load(dy + i, lanes), load(y + i, lanes)));
  });
}

/// y = product + residual, which may be null. sums: [2, width], of the differences from the origin, and of
/// their squares.
void finish_forward(const float* product, const float* residual, int64_t count, int64_t width, Target y,
                    float* origin, float* sums) {
  const auto term_at = [=](int64_t c, auto lanes, Range rows) {
    const auto value_at = [=](int64_t row) {
      const Vec<float> value = load(product + row * width + c, lanes);
      if (residual == nullptr) return value;
      prefetch_ahead(residual + row * width + c);
      return value + load(residual + row * width + c, lanes);
    };
    const Vec<float> from = origin_of<float>(rows, value_at);
    store(origin + c, lanes, from);
    return [=](int64_t row) {
      const Vec<float> value = value_at(row), d = value - from;
      y.put(row * width + c, lanes, value);
      return std::array<Vec<float>, 2>{d, d * d};
    };
  };
  add_rows<float, 2>(0, count / width, width, sums, term_at);
}

/// Copies da, and sums up g and g * (x - mean), where g is da, or 0 where the relu was 0.
void finish_backward(const Affine<float>& affine, const float* x, const float* product, int64_t count,
                     Target da, float* sums) {
  const auto width = static_cast<int64_t>(affine.mean.size());
  const auto term_at = [&](int64_t c, auto lanes, Range) {
    const AffineVec<float> channels = affine.at(c, lanes);
    return [=](int64_t row) {
      const int64_t i = row * width + c;
      const Vec<float> d = load(product + i, lanes);
      da.put(i, lanes, d);
      return channels.gradient_terms(load(x + i, lanes), d);
    };
  };
  add_rows<float, 2>(0, count / width, width, sums, term_at);
}

}  // namespace

bool can_fuse(const ConvProblem& problem) {
  constexpr int64_t kFewest = 16;  // channels: with fewer, oneDNN's kernels are slow
  return is_alive() && problem.is_safe_in_onednn() && std::min(problem.C, problem.K) >= kFewest &&
         problem.W % fold_of(problem.C) == 0 && problem.Q() % fold_of(problem.K) == 0;
}

bool can_fuse(const Tensor& x, const Tensor& weight, int64_t stride, int64_t padding) {
  return x.dtype() == Dtype::f32 && x.size() > 0 &&
         can_fuse(ConvProblem(x.shape(), weight.shape(), stride, padding));
}

void preactivation_conv_forward(const Tensor& x, const Normalisation& norm, const Tensor& weight,
                                int64_t stride, int64_t padding, const Tensor& residual, Tensor& y,
                                Tensor& mean, Tensor& variance) {
  const ConvProblem problem(x.shape(), weight.shape(), stride, padding);
  const Affine<float> affine(norm, fold_of(problem.C));
  const int64_t width = problem.K * fold_of(problem.K);
  add_multiply_adds(y.size() * weight.shape().size(1, 4));
  call_onednn("preactivation_conv_forward", problem, [&] {
    const Cut cut(problem, /*floats_per_x=*/2, /*floats_per_y=*/2, kGroups);
    const ChunkConv conv(Pass::forward, cut, weight);
    const bool has_epilogue = residual.defined() || mean.defined();
    Tensor sums = Tensor::empty({cut.chunks(), 3, width});  // of each chunk, and its origin
    parallel_for(cut.chunks(), 1, [&](int64_t first, int64_t last) {
      ChunkRunner run(conv);
      Tensor a = Tensor::empty({cut.largest() * cut.x_unit()}),
             product = has_epilogue ? Tensor::empty({cut.largest() * cut.y_unit()}) : Tensor();
      for (int64_t chunk = first; chunk < last; ++chunk) {
        const Range units = cut.units(chunk);
        const int64_t begin = units.begin * cut.y_unit(), count = units.count() * cut.y_unit();
        activate(affine, x.data<float>() + units.begin * cut.x_unit(), units.count() * cut.x_unit(),
                 a.data<float>());
        run(units.count(), a.data<float>(), has_epilogue ? product.data<float>() : y.data<float>() + begin);
        if (!has_epilogue) continue;
        float* part = sums.data<float>() + chunk * 3 * width;
        finish_forward(product.data<float>(), residual.defined() ? residual.data<float>() + begin : nullptr,
                       count, width, part_of(y, begin), part + 2 * width, part);
      }
      end_streaming();
    });
    if (!mean.defined()) return;
    Moments moments(width);
    for (int64_t chunk = 0; chunk < cut.chunks(); ++chunk) {
      const float* part = sums.data<float>() + chunk * 3 * width;
      moments.add(cut.units(chunk).count() * cut.y_unit() / width, part + 2 * width, part, part + width);
    }
    moments.finish<float>(mean, variance);
  });
}

void preactivation_conv_backward(const Tensor& dy, const NextNormalisation& next, const Tensor& x,
                                 const Normalisation& norm, const Tensor& weight, int64_t stride,
                                 int64_t padding, Tensor& da, Tensor& dfilters, Tensor& dweight,
                                 Tensor& dbias) {
  const ConvProblem problem(x.shape(), weight.shape(), stride, padding);
  const Affine<float> affine(norm, fold_of(problem.C));
  const auto width = static_cast<int64_t>(affine.mean.size());
  add_multiply_adds(2 * dy.size() * weight.shape().size(1, 4));
  std::optional<BackwardAffine<float>> back;
  if (next.y.defined()) {
    back.emplace(next.norm, next.dweight, next.dbias, dy.size() / problem.K, fold_of(problem.K));
  }
  call_onednn("preactivation_conv_backward", problem, [&] {
    const Cut cut(problem, /*floats_per_x=*/3, /*floats_per_y=*/2, kGroups);
    const ChunkConv input_conv(Pass::backward_input, cut, weight),
        weight_conv(Pass::backward_weight, cut, weight);
    const int64_t weights = weight_conv.weight_count();
    Tensor partials = Tensor::empty({cut.groups(), weights}), sums = Tensor::empty({cut.chunks(), 2, width});
    parallel_for(cut.groups(), 1, [&](int64_t first, int64_t last) {
      ChunkRunner run_input(input_conv);
      Tensor a = Tensor::empty({cut.largest() * cut.x_unit()}), product = Tensor::empty_like(a),
             passed = back ? Tensor::empty({cut.largest() * cut.y_unit()}) : Tensor();
      WeightSum weight_sum(weight_conv);
      for (int64_t chunk = first * cut.chunks_per_group(); chunk < last * cut.chunks_per_group(); ++chunk) {
        const int64_t group = chunk / cut.chunks_per_group();
        if (chunk % cut.chunks_per_group() == 0) weight_sum.begin(partials.data<float>() + group * weights);
        const Range units = cut.units(chunk);
        const int64_t x_begin = units.begin * cut.x_unit(), x_count = units.count() * cut.x_unit();
        const int64_t y_begin = units.begin * cut.y_unit(), y_count = units.count() * cut.y_unit();
        const float* gradient = dy.data<float>() + y_begin;
        if (back) {
          pass_back(*back, gradient, next.y.data<float>() + y_begin, y_count, passed.data<float>());
          gradient = passed.data<float>();
        }
        const float* from = x.data<float>() + x_begin;
        activate(affine, from, x_count, a.data<float>());
        weight_sum.add(units.count(), a.data<float>(), gradient);
        if ((chunk + 1) % cut.chunks_per_group() == 0) weight_sum.end();
        run_input(units.count(), product.data<float>(), gradient);
        finish_backward(affine, from, product.data<float>(), x_count, part_of(da, x_begin),
                        sums.data<float>() + chunk * 2 * width);
      }
      end_streaming();
    });
    add_groups(weight_conv, cut.groups(), partials, dfilters);
    finish_reduce(sum_of_chunks(sums.data<float>(), cut.chunks(), 2 * width), affine, dweight, dbias);
  });
}

}  // namespace fovea::kernels::cpu::onednn
