#include "fovea/kernels/cpu/conv/chunked.h"

#include "fovea/core/parallel_for.h"
#include "fovea/kernels/cpu/conv/choice.h"
#include "fovea/kernels/cpu/conv/onednn.h"
#include "fovea/kernels/cpu/conv/winograd.h"
#include "fovea/kernels/cpu/in_f32.h"

namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT::chunked {
namespace {

/// The passes forward and backward_input: the chunks are independent.
void run_chunks(const Chunks& chunks, const ChunkedConv& conv, const float* from, int64_t from_unit,
                float* to, int64_t to_unit) {
  parallel_for(chunks.count(), 1, [&](int64_t first, int64_t last) {
    const auto runner = conv.runner();
    for (int64_t chunk = first; chunk < last; ++chunk) {
      const Interval units = chunks.units(chunk);
      runner->run(units.count(), from + units.begin * from_unit, to + units.begin * to_unit);
    }
  });
}

}  // namespace

std::unique_ptr<ChunkedConv> conv(ConvPass pass, const Chunks& chunks, const Tensor& weight) {
  return chunk_engine(chunks) == ConvEngine::winograd ? winograd::conv(pass, chunks, weight)
                                                      : onednn::conv(pass, chunks, as_f32(weight));
}

std::unique_ptr<ChunkedFilterGradient> filter_gradient(const Chunks& chunks) {
  return chunk_engine(chunks) == ConvEngine::winograd ? winograd::filter_gradient(chunks)
                                                      : onednn::filter_gradient(chunks);
}

void finish(const ChunkedFilterGradient& gradient, int64_t groups, const Tensor& sums, Tensor& dweight) {
  Tensor total = gradient.sum_for(dweight);
  add_groups(groups, gradient.size(), sums.data<float>(), total.data<float>());
  gradient.to_plain(total, dweight);
}

void conv_forward(const ConvProblem& problem, const Tensor& x, const Tensor& weight, Tensor& y) {
  onednn::call("conv_forward", problem, [&] {
    const Chunks chunks = chunks_of(ConvPass::forward, problem);
    run_chunks(chunks, *conv(ConvPass::forward, chunks, weight), x.data<float>(), chunks.x_unit(),
               y.data<float>(), chunks.y_unit());
  });
}

void conv_backward_input(const ConvProblem& problem, const Tensor& dy, const Tensor& weight, Tensor& dx) {
  onednn::call("conv_backward_input", problem, [&] {
    const Chunks chunks = chunks_of(ConvPass::backward_input, problem);
    run_chunks(chunks, *conv(ConvPass::backward_input, chunks, weight), dy.data<float>(), chunks.y_unit(),
               dx.data<float>(), chunks.x_unit());
  });
}

void conv_backward_weight(const ConvProblem& problem, const Tensor& x, const Tensor& dy, Tensor& dweight) {
  onednn::call("conv_backward_weight", problem, [&] {
    const Chunks chunks = chunks_of(ConvPass::backward_weight, problem);
    const auto gradient = filter_gradient(chunks);
    const int64_t size = gradient->size();
    Tensor sums = Tensor::empty({chunks.groups(), size});
    parallel_for(chunks.groups(), 1, [&](int64_t first, int64_t last) {
      const auto sum = gradient->sum();
      for (int64_t group = first; group < last; ++group) {
        sum->begin(sums.data<float>() + group * size);
        for (int64_t i = 0; i < chunks.per_group(); ++i) {
          const Interval units = chunks.units(group * chunks.per_group() + i);
          sum->add(units.count(), x.data<float>() + units.begin * chunks.x_unit(),
                   dy.data<float>() + units.begin * chunks.y_unit());
        }
        sum->end();
      }
    });
    finish(*gradient, chunks.groups(), sums, dweight);
  });
}

}  // namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT::chunked
