#include <algorithm>
#include <array>
#include <optional>
#include <type_traits>
#include <vector>

#include "fovea/core/parallel_for.h"
#include "fovea/kernels/cpu/affine.h"
#include "fovea/kernels/cpu/column_sums.h"
#include "fovea/kernels/cpu/conv/choice.h"
#include "fovea/kernels/cpu/conv/chunked.h"
#include "fovea/kernels/cpu/conv/fused.h"
#include "fovea/kernels/cpu/conv/onednn.h"
#include "fovea/kernels/cpu/conv/storage.h"
#include "fovea/kernels/cpu/elements.h"
#include "fovea/kernels/cpu/in_f32.h"
#include "fovea/kernels/cpu/moments.h"
#include "fovea/kernels/cpu/rows.h"
#include "fovea/kernels/cpu/streamed_output.h"

// A thread takes a chunk that fits into its L2 cache through everything: activate, convolve, add, sum up.
// What goes through memory is x and y (and their gradients), once; the convolutions find the rest in the
// cache.
namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT::fused_chunks {
namespace {

/// The gradient of y from that of relu(norm(y)): see BackwardAffine.
template <class T>
void pass_back(const BackwardAffine<float>& affine, const T* dy, const T* y, int64_t count, float* to) {
  affine.for_each(count, /*has_relu=*/true, [=](int64_t i, auto lanes, const auto& gradient) {
    prefetch_ahead(dy + i);
    prefetch_ahead(y + i);
    store(to + i, lanes, gradient(load(dy + i, lanes), load(y + i, lanes)));
  });
}

/// y = product + residual, which may be null. sums: [2, width], of the differences from the origin, and of
/// their squares.
template <class T>
void finish_forward(const float* product, const T* residual, int64_t count, int64_t width,
                    StreamedOutput<T> y, float* origin, float* sums) {
  const auto term_at = [=](int64_t c, auto lanes, Interval rows) {
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
template <class T>
void finish_backward(const Affine<float>& affine, const T* x, const float* product, int64_t count,
                     StreamedOutput<T> da, float* sums) {
  const auto width = static_cast<int64_t>(affine.mean.size());
  const auto term_at = [&](int64_t c, auto lanes, Interval) {
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

template <class T>
void forward_as(const Tensor& x, const PreactivationStage& stage, const Tensor& residual, Tensor& y,
                Tensor& mean, Tensor& variance) {
  const ConvProblem problem = problem_of(x.shape(), stage);
  const Affine<float> affine(stage.norm, fold_of(problem.C));
  const int64_t width = problem.K * fold_of(problem.K);
  onednn::call("preactivation_conv_forward", problem, [&] {
    const Chunks chunks = preactivation_chunks(problem, /*is_forward=*/true);
    const auto conv = chunked::conv(ConvPass::forward, chunks, stage.weight);
    const bool has_epilogue = !std::is_same_v<T, float> || residual.defined() || mean.defined();
    Tensor sums = Tensor::empty({chunks.count(), 3, width});  // of each chunk, and its origin
    parallel_for(chunks.count(), 1, [&](int64_t first, int64_t last) {
      const auto runner = conv->runner();
      Tensor a = Tensor::empty({chunks.largest() * chunks.x_unit()}),
             product = has_epilogue ? Tensor::empty({chunks.largest() * chunks.y_unit()}) : Tensor();
      for (int64_t chunk = first; chunk < last; ++chunk) {
        const Interval units = chunks.units(chunk);
        const int64_t begin = units.begin * chunks.y_unit(), count = units.count() * chunks.y_unit();
        activate(affine, x.data<T>() + units.begin * chunks.x_unit(), units.count() * chunks.x_unit(),
                 a.data<float>());
        if constexpr (std::is_same_v<T, float>) {
          if (!has_epilogue) {
            runner->run(units.count(), a.data<float>(), y.data<float>() + begin);
            continue;
          }
        }
        runner->run(units.count(), a.data<float>(), product.data<float>());
        float* part = sums.data<float>() + chunk * 3 * width;
        finish_forward(product.data<float>(),
                       residual.defined() ? residual.data<T>() + begin : static_cast<const T*>(nullptr),
                       count, width, part_of<T>(y, begin), part + 2 * width, part);
      }
      end_streaming();
    });
    if (!mean.defined()) return;
    finish_moments(chunks, width, mean, variance, [&](int64_t chunk, Moments& moments) {
      const float* part = sums.data<float>() + chunk * 3 * width;
      moments.add(chunks.units(chunk).count() * chunks.y_unit() / width, part + 2 * width, part,
                  part + width);
    });
  });
}

template <class T>
void backward_as(const Tensor& dy, const NextNorm& next, const SavedPreactivation& saved, Tensor& da,
                 PreactivationGradients& gradients) {
  const PreactivationStage& stage = saved.stage;
  const Tensor& x = saved.x;
  const ConvProblem problem = problem_of(x.shape(), stage);
  const Affine<float> affine(stage.norm, fold_of(problem.C));
  const auto width = static_cast<int64_t>(affine.mean.size());
  std::optional<BackwardAffine<float>> back;
  if (next.y.defined()) {
    back.emplace(next.norm, next.dweight, next.dbias, dy.size() / problem.K, fold_of(problem.K));
  }
  onednn::call("preactivation_conv_backward", problem, [&] {
    const Chunks chunks = preactivation_chunks(problem, /*is_forward=*/false);
    const auto input_conv = chunked::conv(ConvPass::backward_input, chunks, stage.weight);
    const auto filter_gradient = chunked::filter_gradient(chunks);
    const int64_t weights = filter_gradient->size();
    Tensor partials = Tensor::empty({chunks.groups(), weights}),
           sums = Tensor::empty({chunks.count(), 2, width});
    parallel_for(chunks.groups(), 1, [&](int64_t first, int64_t last) {
      const auto run_input = input_conv->runner();
      const auto sum = filter_gradient->sum();
      Tensor a = Tensor::empty({chunks.largest() * chunks.x_unit()}), product = Tensor::empty_like(a),
             passed = back || !std::is_same_v<T, float> ? Tensor::empty({chunks.largest() * chunks.y_unit()})
                                                        : Tensor();
      for (int64_t chunk = first * chunks.per_group(); chunk < last * chunks.per_group(); ++chunk) {
        const int64_t group = chunk / chunks.per_group();
        if (chunk % chunks.per_group() == 0) sum->begin(partials.data<float>() + group * weights);
        const Interval units = chunks.units(chunk);
        const int64_t x_begin = units.begin * chunks.x_unit(), x_count = units.count() * chunks.x_unit();
        const int64_t y_begin = units.begin * chunks.y_unit(), y_count = units.count() * chunks.y_unit();
        const T* const dys = dy.data<T>() + y_begin;
        const float* gradient = passed.defined() ? passed.data<float>() : nullptr;
        if (back) {
          pass_back(*back, dys, next.y.data<T>() + y_begin, y_count, passed.data<float>());
        } else if constexpr (std::is_same_v<T, float>) {
          gradient = dys;
        } else {
          widen_elements(dys, y_count, passed.data<float>());
        }
        const T* from = x.data<T>() + x_begin;
        activate(affine, from, x_count, a.data<float>());
        sum->add(units.count(), a.data<float>(), gradient);
        if ((chunk + 1) % chunks.per_group() == 0) sum->end();
        run_input->run(units.count(), gradient, product.data<float>());
        finish_backward(affine, from, product.data<float>(), x_count, part_of<T>(da, x_begin),
                        sums.data<float>() + chunk * 2 * width);
      }
      end_streaming();
    });
    compute_in_f32(gradients.weight, [&](Tensor& dweight) {
      chunked::finish(*filter_gradient, chunks.groups(), partials, dweight);
    });
    finish_reduce(sums_of_groups(chunks, sums.data<float>(), 2 * width), affine, gradients.norm_weight,
                  gradients.norm_bias);
  });
}

}  // namespace

void forward(const Tensor& x, const PreactivationStage& stage, const Tensor& residual, Tensor& y,
             Tensor& mean, Tensor& variance) {
  visit_storage("preactivation_conv_forward", x.dtype(),
                [&]<class T>() { forward_as<T>(x, stage, residual, y, mean, variance); });
}

void backward(const Tensor& dy, const NextNorm& next, const SavedPreactivation& saved, Tensor& da,
              PreactivationGradients& gradients) {
  visit_storage("preactivation_conv_backward", dy.dtype(),
                [&]<class T>() { backward_as<T>(dy, next, saved, da, gradients); });
}

}  // namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT::fused_chunks
