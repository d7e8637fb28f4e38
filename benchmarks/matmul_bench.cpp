#include "fovea/kernels/matmul.h"

#include "bench.h"

namespace fovea::bench {
namespace {

/// y [M, N] = a [M, K] * b [N, K]: the linear layer of attention92, 1x1 convolutions as products, a square.
void products(Benchmark* benchmark) {
  benchmark->ArgNames({"M", "N", "K"})->Unit(benchmark::kMicrosecond);
  benchmark->Args({64, 10, 256})->Args({65536, 16, 64})->Args({65536, 64, 16})->Args({16384, 128, 128});
  benchmark->Args({1024, 1024, 1024});
  if (settings().device.is_cuda()) benchmark->Args({8192, 8192, 8192});
}

void matmul_forward(benchmark::State& state) {
  const int64_t M = state.range(0), N = state.range(1), K = state.range(2);
  const Tensor a = random_tensor({M, K}, 1), b = random_tensor({N, K}, 2);
  Tensor y = zeros({M, N});
  measure(state, a.bytes() + b.bytes() + y.bytes(),
          [&] { kernels::matmul_forward(a, /*transpose_a=*/false, b, /*transpose_b=*/true, Tensor(), y); });
}
FOVEA_BENCH(matmul_forward, products);

}  // namespace
}  // namespace fovea::bench
