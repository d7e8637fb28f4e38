#include "fovea/kernels/count_correct.h"

#include "bench.h"
#include "random_labels.h"

namespace fovea::bench {
namespace {

void logits(Benchmark* benchmark) {
  benchmark->ArgNames({"N", "C"})->Args({128, 10})->Args({128, 1000})->Unit(benchmark::kMicrosecond);
}

void count_correct(benchmark::State& state) {
  const Tensor x = random_tensor({state.range(0), state.range(1)}, 1);
  const Tensor labels = random_labels(state.range(0), state.range(1), settings().device);
  Tensor correct = zeros({}, Dtype::i64);
  measure(state, x.bytes() + labels.bytes(), [&] { kernels::count_correct(x, labels, /*k=*/1, correct); });
}
FOVEA_BENCH(count_correct, logits);

}  // namespace
}  // namespace fovea::bench
