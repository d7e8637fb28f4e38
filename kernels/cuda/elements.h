#pragma once

#include "fovea/kernels/cuda/launch.h"
#include "fovea/kernels/cuda/pack.h"

namespace fovea::kernels::cuda {

/// Threads of a block, and blocks of a multiprocessor, in kernels that go over elements: few, so that a
/// thread has registers for two packs at once.
inline constexpr int kElementThreads = 256, kElementBlocks = 4;

/// The grid of a kernel that goes over `count` elements in packs of `width`.
inline Grid grid_for_elements(int64_t count, int width) {
  return grid_for((count + width - 1) / width, kElementThreads, kElementBlocks);
}

/// The one of the types that takes the most bytes.
template <class T, class... Others>
struct WidestOf {
  using type = T;
};
template <class T, class Other, class... Others>
struct WidestOf<T, Other, Others...>
    : WidestOf<std::conditional_t<(sizeof(Other) > sizeof(T)), Other, T>, Others...> {};
template <class... T>
using Widest = typename WidestOf<T...>::type;

/// Shares the elements [0, count) out among the threads of the grid, in packs of kWidth neighbours; those
/// after the last whole pack go one by one to the first threads. For each pack, which begins at element
/// `begin`: store<kWidth>(begin, compute<kWidth>(begin, inputs...)), where two packs are computed before they
/// are stored, so that their loads are under way together.
template <int kWidth, class Compute, class Store, class... Inputs>
__device__ inline void for_each_pack(int64_t count, Compute compute, Store store, Inputs... inputs) {
  const int64_t packs = count / kWidth, step = grid_threads();
  int64_t pack = grid_thread();
  for (; pack + step < packs; pack += 2 * step) {
    const int64_t begin = pack * kWidth, next = (pack + step) * kWidth;
    const auto result = compute.template operator()<kWidth>(begin, inputs...);
    const auto next_result = compute.template operator()<kWidth>(next, inputs...);
    store.template operator()<kWidth>(begin, result);
    store.template operator()<kWidth>(next, next_result);
  }
  if (pack < packs) {
    const int64_t begin = pack * kWidth;
    store.template operator()<kWidth>(begin, compute.template operator()<kWidth>(begin, inputs...));
  }
  const int64_t i = packs * kWidth + grid_thread();
  if (i < count) store.template operator()<1>(i, compute.template operator()<1>(i, inputs...));
}

template <int kWidth, class Function, class... X>
__device__ inline Floats<kWidth> map_pack(const Function& f, const X&... x) {
  Floats<kWidth> y;
#pragma unroll
  for (int i = 0; i < kWidth; ++i) y[i] = f(x[i]...);
  return y;
}

/// y[i] = f(x[i]...) in f32. A thread takes packs of neighbouring elements, reads each x once and writes y
/// once.
template <int kWidth, class Function, class Y, class... X>
__global__ void __launch_bounds__(kElementThreads, kElementBlocks)
    map_elements_kernel(int64_t count, Y* y, Function f, const X*... x) {
  // The inputs are passed, not captured: GCC 12 loses a captured pack of one parameter.
  const auto compute = [&]<int kPack>(int64_t begin, const X*... inputs) {
    return map_pack<kPack>(f, load<kPack>(inputs + begin)...);
  };
  const auto put = [&]<int kPack>(int64_t begin, const Floats<kPack>& result) {
    store<kPack>(y + begin, result);
  };
  for_each_pack<kWidth>(count, compute, put, x...);
}

/// y[i] = f(x[i]...) for all elements; y may be one of the inputs.
template <class Function, class Y, class... X>
void map_elements(const char* operation, int64_t count, Y* y, Function f, const X*... x) {
  if (count == 0) return;
  const auto run = [&]<int kWidth>() {
    launch(operation, map_elements_kernel<kWidth, Function, Y, X...>, grid_for_elements(count, kWidth), count,
           y, f, x...);
  };
  visit_width<Widest<Y, X...>>(/*count=*/0, run, y, x...);
}

}  // namespace fovea::kernels::cuda
