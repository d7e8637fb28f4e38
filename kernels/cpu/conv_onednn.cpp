#include "fovea/kernels/cpu/conv_onednn.h"

#include "fovea/core/parallel_for.h"
#include "fovea/kernels/cpu/conv_plan.h"

namespace fovea::kernels::cpu::onednn {
namespace {

/// Runs forward or backward_input: the chunks are independent.
void run_images(Pass pass, const ConvProblem& problem, const float* x, const float* y, const Tensor& weight) {
  const Cut cut(problem, /*floats_per_x=*/1, /*floats_per_y=*/1, /*groups=*/1);
  const ChunkConv conv(pass, cut, weight);
  parallel_for(cut.chunks(), 1, [&](int64_t first, int64_t last) {
    ChunkRunner run(conv);
    for (int64_t chunk = first; chunk < last; ++chunk) {
      const Range units = cut.units(chunk);
      run(units.count(), x + units.begin * cut.x_unit(), y + units.begin * cut.y_unit());
    }
  });
}

}  // namespace

void conv_forward(const Tensor& x, const Tensor& weight, int64_t stride, int64_t padding, Tensor& y) {
  const ConvProblem problem(x.shape(), weight.shape(), stride, padding);
  call_onednn("conv_forward", problem,
              [&] { run_images(Pass::forward, problem, x.data<float>(), y.data<float>(), weight); });
}

void conv_backward_input(const Tensor& dy, const Tensor& weight, int64_t stride, int64_t padding,
                         Tensor& dx) {
  const ConvProblem problem(dx.shape(), weight.shape(), stride, padding);
  call_onednn("conv_backward_input", problem,
              [&] { run_images(Pass::backward_input, problem, dx.data<float>(), dy.data<float>(), weight); });
}

void conv_backward_weight(const Tensor& x, const Tensor& dy, int64_t stride, int64_t padding,
                          Tensor& dweight) {
  const ConvProblem problem(x.shape(), dweight.shape(), stride, padding);
  call_onednn("conv_backward_weight", problem, [&] {
    const Cut cut(problem, /*floats_per_x=*/0, /*floats_per_y=*/0, kGroups);
    const ChunkConv conv(Pass::backward_weight, cut, dweight);
    const int64_t count = conv.weight_count();
    Tensor partials = Tensor::empty({cut.groups(), count});
    parallel_for(cut.groups(), 1, [&](int64_t first, int64_t last) {
      WeightSum sum(conv);
      for (int64_t group = first; group < last; ++group) {
        sum.begin(partials.data<float>() + group * count);
        for (int64_t i = 0; i < cut.chunks_per_group(); ++i) {
          const Range units = cut.units(group * cut.chunks_per_group() + i);
          sum.add(units.count(), x.data<float>() + units.begin * cut.x_unit(),
                  dy.data<float>() + units.begin * cut.y_unit());
        }
        sum.end();
      }
    });
    add_groups(conv, cut.groups(), partials, dweight);
  });
}

}  // namespace fovea::kernels::cpu::onednn
