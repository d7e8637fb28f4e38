#include <algorithm>

#include "fovea/kernels/cpu/conv/dot_products.h"
#include "fovea/kernels/cpu/conv/pack.h"

// The interface of chunk_engine.h for 1x1 convolutions by products of pairs of bf16: what fused_1x1.cpp
// multiplies, with the same bits, where a chunk stays in the cache.
namespace fovea::kernels::cpu {
namespace {

class Runner final : public ChunkRunner {
 public:
  Runner(const ConvProblem& whole, const Tensor& filters)
      : C_(whole.C),
        K_(whole.K),
        pixels_(whole.H * whole.W),
        filters_(filters),
        a_(Tensor::empty({kRows * C_ / 2})) {}

  void run(int64_t units, const float* from, float* to) override {
    const int64_t rows = units * pixels_;
    Prefetcher nothing;
    for (int64_t row = 0; row < rows; row += kRows) {
      const int64_t count = std::min(kRows, rows - row);
      pack(count, C_, from + row * C_, ColumnPairPanels{a_.data<float>(), count});
      float* const target = to + row * K_;
      multiply<DotProduct>(count, C_ / 2, K_, a_.data<float>(), filters_.data<float>(), nothing,
                           [=, K = K_](int64_t first, int64_t column, const auto& tile) FOVEA_ALWAYS_INLINE {
                             tile.for_each_by_rows([&](auto r, auto s) FOVEA_ALWAYS_INLINE {
                               store(target + (first + r) * K + column + s * kLanes<float>, AllLanes<float>(),
                                     tile.sum[r][s]);
                             });
                           });
    }
  }

 private:
  static constexpr int64_t kRows = 60;  // of a block: packed, it stays in the L1 cache up to 256 channels
  int64_t C_, K_, pixels_;
  Tensor filters_, a_;
};

class Conv final : public ChunkedConv {
 public:
  Conv(const Chunks& chunks, const Tensor& weight)
      : whole_(chunks.whole()), filters_(packed_for_result<DotProduct>(weight)) {}
  std::unique_ptr<ChunkRunner> runner() const override { return std::make_unique<Runner>(whole_, filters_); }

 private:
  ConvProblem whole_;
  Tensor filters_;
};

}  // namespace

std::unique_ptr<ChunkedConv> dot_conv(const Chunks& images, const Tensor& weight) {
  return std::make_unique<Conv>(images, weight);
}

}  // namespace fovea::kernels::cpu
