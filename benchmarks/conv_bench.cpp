#include "fovea/kernels/conv.h"

#include "bench.h"

namespace fovea::bench {
namespace {

/// The convolutions of residual units: 1x1 to a quarter of the channels, 3x3 on the quarter, 1x1 back; and
/// the first one of the network. Arguments: N, H = W, C, K, R = S.
void convolutions(Benchmark* benchmark) {
  benchmark->ArgNames({"N", "H", "C", "K", "R"})->Unit(benchmark::kMicrosecond);
  benchmark->Args({64, 32, 3, 16, 3});
  for (const int64_t wide : {1, 2}) {  // attention92, attention92-wide
    for (const int64_t H : {32, 16, 8}) {
      const int64_t N = 64 / wide, C = wide * 64 * 32 / H;
      benchmark->Args({N, H, C, C / 4, 1})->Args({N, H, C / 4, C / 4, 3})->Args({N, H, C / 4, C, 1});
    }
  }
}

struct Tensors {
  explicit Tensors(const benchmark::State& state)
      : x(random_tensor({state.range(0), state.range(1), state.range(1), state.range(2)}, 1)),
        weight(random_tensor({state.range(3), state.range(4), state.range(4), state.range(2)}, 2)),
        y(random_tensor({state.range(0), state.range(1), state.range(1), state.range(3)}, 3)),
        padding(state.range(4) / 2) {}

  size_t bytes() const { return x.bytes() + weight.bytes() + y.bytes(); }

  Tensor x, weight, y;
  int64_t padding;
};

void conv_forward(benchmark::State& state) {
  Tensors t(state);
  measure(state, t.bytes(),
          [&] { kernels::conv_forward(t.x, t.weight, Tensor(), /*stride=*/1, t.padding, t.y); });
}
FOVEA_BENCH(conv_forward, convolutions);

void conv_backward_input(benchmark::State& state) {
  Tensors t(state);
  measure(state, t.bytes(),
          [&] { kernels::conv_backward_input(t.y, t.weight, /*stride=*/1, t.padding, t.x); });
}
FOVEA_BENCH(conv_backward_input, convolutions);

void conv_backward_weight(benchmark::State& state) {
  Tensors t(state);
  measure(state, t.bytes(),
          [&] { kernels::conv_backward_weight(t.x, t.y, /*stride=*/1, t.padding, t.weight); });
}
FOVEA_BENCH(conv_backward_weight, convolutions);

void conv_backward_bias(benchmark::State& state) {
  const Tensor dy = random_tensor(image_shape(state), 1);
  Tensor dbias = zeros({dy.shape(3)});
  measure(state, dy.bytes(), [&] { kernels::conv_backward_bias(dy, dbias); });
}
FOVEA_BENCH(conv_backward_bias, network_shapes);

}  // namespace
}  // namespace fovea::bench
