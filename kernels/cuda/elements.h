#pragma once

#include "fovea/kernels/cuda/launch.h"
#include "fovea/kernels/cuda/pack.h"

namespace fovea::kernels::cuda {

/// y[i] = f(x[i]...) in f32. A thread takes a pack of neighbouring elements at a time, reads each x once and
/// writes y once; the elements after the last whole pack go one by one to the first threads.
template <int kWidth, class Function, class Y, class... X>
__global__ void map_elements_kernel(int64_t count, Y* y, Function f, const X*... x) {
  const int64_t packs = count / kWidth;
  for (int64_t pack = grid_thread(); pack < packs; pack += grid_threads()) {
    const int64_t begin = pack * kWidth;
    Floats<kWidth> result;
    const auto apply = [&](const auto&... inputs) {
#pragma unroll
      for (int i = 0; i < kWidth; ++i) result[i] = f(inputs[i]...);
    };
    apply(load<kWidth>(x + begin)...);
    store<kWidth>(y + begin, result);
  }
  const int64_t i = packs * kWidth + grid_thread();
  if (i < count) y[i] = from_float<Y>(f(to_float(x[i])...));
}

/// y[i] = f(x[i]...) for all elements; y may be one of the inputs. Elements of Y set the width: no X is
/// wider.
template <class Function, class Y, class... X>
void map_elements(const char* operation, int64_t count, Y* y, Function f, const X*... x) {
  if (count == 0) return;
  const auto run = [&]<int kWidth>() {
    launch(operation, map_elements_kernel<kWidth, Function, Y, X...>, grid_for((count + kWidth - 1) / kWidth),
           count, y, f, x...);
  };
  visit_width<Y>(/*count=*/0, run, y, x...);
}

}  // namespace fovea::kernels::cuda
