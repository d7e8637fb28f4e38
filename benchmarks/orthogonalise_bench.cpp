#include "fovea/kernels/orthogonalise.h"

#include <vector>

#include "bench.h"

namespace fovea::bench {
namespace {

// Rows and columns of the filters of an attention92's middle stage, and of an attention92-wide's last.
void filters(Benchmark* benchmark) {
  benchmark->ArgNames({"count", "rows", "columns"})->Unit(benchmark::kMicrosecond);
  for (const auto& [rows, columns] :
       std::vector<std::pair<int64_t, int64_t>>{{32, 288}, {128, 32}, {256, 2304}, {1024, 256}}) {
    benchmark->Args({8, rows, columns});
  }
}

void orthogonalise(benchmark::State& state) {
  const int64_t rows = state.range(1), columns = state.range(2);
  std::vector<kernels::MatrixPlace> matrices;
  for (int64_t i = 0; i < state.range(0); ++i) matrices.push_back({i * rows * columns, rows, columns});
  Tensor x = random_f32({state.range(0) * rows * columns}, 1);
  measure(state, 2 * x.bytes(), [&] { kernels::orthogonalise(matrices, {}, x); });
}
FOVEA_BENCH(orthogonalise, filters);

}  // namespace
}  // namespace fovea::bench
