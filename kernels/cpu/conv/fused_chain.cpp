#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "fovea/core/parallel_for.h"
#include "fovea/kernels/cpu/affine.h"
#include "fovea/kernels/cpu/conv/choice.h"
#include "fovea/kernels/cpu/conv/chunked.h"
#include "fovea/kernels/cpu/conv/dot_products.h"
#include "fovea/kernels/cpu/conv/fused.h"
#include "fovea/kernels/cpu/conv/onednn.h"
#include "fovea/kernels/cpu/conv/storage.h"
#include "fovea/kernels/cpu/in_f32.h"
#include "fovea/kernels/cpu/rows.h"

// A thread takes a few images through all stages: x and y go through memory once, all else stays in its L2
// cache.
namespace fovea::kernels::cpu::fused_chain {
namespace {

/// A stage, ready to be run.
struct StagePlan {
  Affine<float> affine;
  std::unique_ptr<ChunkedConv> conv;
  int64_t x_image;  // elements in an image
};

/// Rounds what lies between two stages as if it had been stored, so that a stage by itself has the same bits.
template <class T>
void round_to(float* values, int64_t count) {
  if constexpr (!std::is_same_v<T, float>) {
    for_each_vector<float>(count, [=](int64_t i, auto lanes) {
      const Vec<float> value = load(values + i, lanes);
      store(values + i, lanes, widen(round_to_bf16(value)));
    });
  }
}

template <class T>
void forward_as(const Tensor& x, const PreactivationStages& chain, const Tensor& residual, Tensor& y) {
  constexpr bool is_rounded = !std::is_same_v<T, float>;
  const std::vector<ConvProblem> problems = problems_of(x.shape(), chain);
  onednn::call("preactivation_chain_forward", problems[0], [&] {
    // Even stages read the first buffer and odd ones the second; the last writes y, or, in bf16, a product
    // that is rounded into y.
    std::array<int64_t, 2> buffer_image{};
    const int64_t y_image = y.size() / x.shape(0);
    for (size_t i = 0; i < problems.size(); ++i) {
      buffer_image[i % 2] = std::max(buffer_image[i % 2], problems[i].x_image());
    }
    const Chunks chunks = Chunks::images(problems[0], buffer_image[0] + buffer_image[1] + y_image);
    // oneDNN brings weights into its layout on one thread: each takes another stage. Winograd's form uses
    // all.
    std::vector<std::optional<StagePlan>> plans(problems.size());
    const auto make_plan = [&](size_t i, const Chunks& images) {
      const PreactivationStage& stage = chain.stages[i];
      plans[i] = StagePlan{Affine<float>(stage.norm, fold_of(problems[i].C)),
                           multiplies_pairs(ConvPass::forward, problems[i], x.dtype())
                               ? dot_conv(images, stage.weight)
                               : chunked::conv(ConvPass::forward, images, as_f32(stage.weight)),
                           problems[i].x_image()};
    };
    std::vector<std::pair<size_t, Chunks>> by_one_thread;
    for (size_t i = 0; i < problems.size(); ++i) {
      const Chunks images = Chunks::images(problems[i], chunks);
      if (chunk_engine(images) == ConvEngine::winograd) {
        make_plan(i, images);
      } else {
        by_one_thread.emplace_back(i, images);
      }
    }
    parallel_for(static_cast<int64_t>(by_one_thread.size()), 1, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) {
        const auto& [stage, images] = by_one_thread[static_cast<size_t>(i)];
        make_plan(stage, images);
      }
    });
    parallel_for(chunks.count(), 1, [&](int64_t first, int64_t last) {
      std::array<Tensor, 2> buffers;
      for (size_t i = 0; i < 2; ++i) buffers[i] = Tensor::empty({chunks.largest() * buffer_image[i]});
      Tensor last_product = is_rounded ? Tensor::empty({chunks.largest() * y_image}) : Tensor();
      std::vector<std::unique_ptr<ChunkRunner>> runners;
      for (const auto& plan : plans) runners.push_back(plan->conv->runner());
      for (int64_t chunk = first; chunk < last; ++chunk) {
        const Interval images = chunks.units(chunk);
        const int64_t count = images.count() * y_image;
        T* const target = y.data<T>() + images.begin * y_image;
        float* product = is_rounded ? last_product.data<float>() : nullptr;
        if constexpr (!is_rounded) product = target;
        float* from = nullptr;
        for (size_t i = 0; i < plans.size(); ++i) {
          const StagePlan& plan = *plans[i];
          float* const a = buffers[i % 2].data<float>();
          float* const to = i + 1 == plans.size() ? product : buffers[(i + 1) % 2].data<float>();
          const int64_t x_count = images.count() * plan.x_image;
          if (i == 0) {
            activate(plan.affine, x.data<T>() + images.begin * plan.x_image, x_count, a);
          } else {
            round_to<T>(from, x_count);
            activate(plan.affine, from, x_count, a);
          }
          runners[i]->run(images.count(), a, to);
          from = to;
        }
        const T* const added = residual.defined() ? residual.data<T>() + images.begin * y_image : nullptr;
        if (!is_rounded && added == nullptr) continue;
        for_each_vector<float>(count, [=](int64_t i, auto lanes) {
          const Vec<float> value = load(product + i, lanes);
          store(target + i, lanes, added == nullptr ? value : value + load(added + i, lanes));
        });
      }
    });
  });
}

}  // namespace

void forward(const Tensor& x, const PreactivationStages& chain, const Tensor& residual, Tensor& y) {
  visit_storage("preactivation_chain_forward", x.dtype(),
                [&]<class T>() { forward_as<T>(x, chain, residual, y); });
}

}  // namespace fovea::kernels::cpu::fused_chain
