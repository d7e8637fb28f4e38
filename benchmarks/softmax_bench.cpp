#include "fovea/kernels/softmax.h"

#include "bench.h"

namespace fovea::bench {
namespace {

void rows(Benchmark* benchmark) {
  benchmark->ArgNames({"N", "C"})->Args({128, 10})->Args({128, 1000})->Args({65536, 256});
  benchmark->Unit(benchmark::kMicrosecond);
}

using Forward = kernels::Kernel<void(const Tensor&, Tensor&)>;
using Backward = kernels::Kernel<void(const Tensor&, const Tensor&, Tensor&)>;

void run(benchmark::State& state, const Forward& kernel) {
  const Tensor x = random_tensor({state.range(0), state.range(1)}, 1);
  Tensor y = Tensor::zeros_like(x);
  measure(state, 2 * x.bytes(), [&] { kernel(x, y); });
}

void run(benchmark::State& state, const Forward& forward, const Backward& backward) {
  const Tensor x = random_tensor({state.range(0), state.range(1)}, 1), dy = random_tensor(x.shape(), 2);
  Tensor y = Tensor::zeros_like(x), dx = Tensor::zeros_like(x);
  forward(x, y);
  measure(state, 3 * x.bytes(), [&] { backward(dy, y, dx); });
}

void softmax_forward(benchmark::State& state) {
  run(state, kernels::softmax_forward);
}
FOVEA_BENCH(softmax_forward, rows);

void softmax_backward(benchmark::State& state) {
  run(state, kernels::softmax_forward, kernels::softmax_backward);
}
FOVEA_BENCH(softmax_backward, rows);

void log_softmax_forward(benchmark::State& state) {
  run(state, kernels::log_softmax_forward);
}
FOVEA_BENCH(log_softmax_forward, rows);

void log_softmax_backward(benchmark::State& state) {
  run(state, kernels::log_softmax_forward, kernels::log_softmax_backward);
}
FOVEA_BENCH(log_softmax_backward, rows);

}  // namespace
}  // namespace fovea::bench
