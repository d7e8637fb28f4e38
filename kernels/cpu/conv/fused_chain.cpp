#include <algorithm>
#include <array>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "fovea/core/parallel_for.h"
#include "fovea/kernels/cpu/affine.h"
#include "fovea/kernels/cpu/conv/choice.h"
#include "fovea/kernels/cpu/conv/fused.h"
#include "fovea/kernels/cpu/conv/onednn.h"
#include "fovea/kernels/cpu/conv/pixel_layout.h"
#include "fovea/kernels/cpu/conv/products_1x1.h"
#include "fovea/kernels/cpu/conv/storage.h"
#include "fovea/kernels/cpu/conv/winograd.h"
#include "fovea/kernels/cpu/in_f32.h"
#include "fovea/kernels/cpu/rows.h"

// A thread takes a few images through all stages: x and y go through memory once, all else stays in its L2
// cache, in f32. What a stage computes is normalised for the next while it is in registers, and lies where
// the next one reads it: in packed panels, or pixel by pixel.
namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT::fused_chain {
namespace {

constexpr int64_t kWidth = kLanes<float>;

/// A stage, ready to be run by every thread.
struct StagePlan {
  StagePlan(const PreactivationStage& stage, const Chunks& images, Dtype dtype)
      : problem(images.whole()),
        is_packed(packs_1x1(problem)),
        is_pairs(multiplies_pairs(ConvPass::forward, problem, dtype)),
        is_winograd(!is_packed && chunk_engine(images) == ConvEngine::winograd),
        affine(stage.norm, is_library() ? fold_of(problem.C) : 1) {
    const int64_t pixels = problem.N * x_pixels();
    if (is_pairs) {
      filters = packed_for_result<DotProduct>(stage.weight, pixels);
    } else if (is_packed) {
      filters = packed_for_result<MultiplyAdd>(stage.weight, pixels);
    } else if (is_winograd) {
      filters = winograd::transform_filters(stage.weight, pixels);
    }
  }

  bool is_library() const { return !is_packed && !is_winograd; }
  int64_t x_pixels() const { return problem.H * problem.W; }
  int64_t y_pixels() const { return problem.P() * problem.Q(); }
  /// Where it reads the channels of `pixels` pixels.
  PixelLayout x_layout(int64_t pixels) const {
    return is_pairs || is_library() ? PixelLayout::rows(problem.C) : PixelLayout::panels(panel_rows(pixels));
  }
  /// Rows of packed panels: so many more than pixels that panels do not fall on the same lines of the cache.
  static int64_t panel_rows(int64_t pixels) {
    constexpr int64_t kRowsOfPage = 64, kApart = 36;
    return (pixels - kApart + kRowsOfPage - 1) / kRowsOfPage * kRowsOfPage + kApart;
  }
  /// Numbers of its input of `images` images.
  int64_t x_size(int64_t images) const { return panel_rows(images * x_pixels()) * problem.C; }

  ConvProblem problem;
  bool is_packed, is_pairs, is_winograd;
  Affine<float> affine;
  Tensor filters;                        // of panels or in Winograd's form
  std::unique_ptr<ChunkedConv> library;  // otherwise
};

/// What a product leaves for the next stage.
struct FinishInput {
  PixelOutput output;

  template <int Rows, int Panels, class Arithmetic>
  FOVEA_ALWAYS_INLINE void operator()(int64_t row, int64_t column,
                                      const RegisterTile<Rows, Panels, Arithmetic>& tile) const {
    unroll<Panels>([&](auto s) FOVEA_ALWAYS_INLINE {
      const int64_t c = column + s * kWidth;
      const auto activation = output.activation(c);
      float* const to = output.to + output.layout.at(row, c);
      unroll<Rows>([&](auto r) FOVEA_ALWAYS_INLINE {
        store(to + r * output.layout.pixel, AllLanes<float>(), activation(tile.sum[r][s]));
      });
    });
  }
};

/// What one thread needs to take some chunks through all stages.
template <class T>
class Worker {
 public:
  Worker(const std::vector<StagePlan>& plans, const Tensor& x, const Tensor& residual, Tensor& y,
         int64_t most_images)
      : plans_(plans), x_(x), residual_(residual), y_(y) {
    std::array<int64_t, 2> input_sizes{};
    int64_t block_size = 0, product_size = 0;
    for (size_t i = 0; i < plans.size(); ++i) {
      const StagePlan& plan = plans[i];
      const ConvProblem& problem = plan.problem;
      const bool is_last = i + 1 == plans.size();
      if (plan.is_packed && (i == 0 || plan.is_pairs)) {
        block_size = std::max(block_size, rows_of_forward_block(problem.C, problem.K) * problem.C);
      }
      if (i > 0 || !plan.is_packed)
        input_sizes[i % 2] = std::max(input_sizes[i % 2], plan.x_size(most_images));
      if (!plan.is_packed && (is_last ? is_rounded : plan.is_library())) {
        product_size = std::max(product_size, problem.y_image());
      }
      tiles_.emplace_back(problem.H, problem.W);
      runners_.push_back(plan.library ? plan.library->runner() : nullptr);
    }
    for (size_t i = 0; i < 2; ++i) inputs_[i] = Tensor::empty({input_sizes[i]});
    block_ = Tensor::empty({block_size});
    product_ = Tensor::empty({most_images * product_size});
  }

  void run(const Interval& images) {
    for (size_t i = 0; i < plans_.size(); ++i) {
      const StagePlan& plan = plans_[i];
      if (plan.is_packed) {
        plan.is_pairs ? multiply_pixels<DotProduct>(i, images) : multiply_pixels<MultiplyAdd>(i, images);
        continue;
      }
      if (i == 0) activate_x(images);
      const bool is_last = i + 1 == plans_.size();
      const int64_t pixels = images.count() * plan.x_pixels();
      float* const product = is_last ? last_product(images) : product_.data<float>();
      if (plan.is_library()) {
        runners_[i]->run(images.count(), input(i), product);
      } else {
        tiles_[i].forward(
            images.count(), plan.problem.C, plan.problem.K, input(i), plan.x_layout(pixels),
            plan.filters.template data<float>(),
            is_last ? PixelOutput{product, PixelLayout::rows(plan.problem.K)} : next_input(i, images));
      }
      if (is_last) {
        finish_product(images);
      } else if (plan.is_library()) {
        activate_product(i, images);
      }
    }
  }

 private:
  static constexpr bool is_rounded = !std::is_same_v<T, float>;

  /// What stage i reads, activated; not of a packed first stage, which reads x.
  float* input(size_t i) { return inputs_[i % 2].template data<float>(); }

  /// Where stage i leaves its result for the next one.
  PixelOutput next_input(size_t i, const Interval& images) {
    const StagePlan& next = plans_[i + 1];
    return {input(i + 1), next.x_layout(images.count() * next.x_pixels()), &next.affine, is_rounded};
  }

  void activate_x(const Interval& images) {
    const StagePlan& plan = plans_[0];
    const int64_t pixels = images.count() * plan.x_pixels(), count = images.count() * plan.problem.x_image();
    const T* const x = x_.data<T>() + images.begin * plan.problem.x_image();
    if (plan.is_winograd) {
      pack_activated(plan.affine, pixels, x, FloatPanels{input(0), StagePlan::panel_rows(pixels)});
    } else {
      activate(plan.affine, x, count, input(0));
    }
  }

  /// A 1x1 convolution, block by block of rows of pixels.
  template <class Arithmetic>
  void multiply_pixels(size_t i, const Interval& images) {
    const StagePlan& plan = plans_[i];
    const bool is_first = i == 0, is_last = i + 1 == plans_.size();
    const int64_t C = plan.problem.C, K = plan.problem.K, depth = depth_of<Arithmetic>(C);
    const int64_t begin = images.begin * plan.x_pixels(), rows = images.count() * plan.x_pixels(),
                  block_rows = rows_of_forward_block(C, K);
    const T* const xs = is_first ? x_.data<T>() + begin * C : nullptr;
    const T* const residuals = is_last && residual_.defined() ? residual_.data<T>() + begin * K : nullptr;
    float* const block = block_.data<float>();
    for (int64_t row = 0; row < rows; row += block_rows) {
      const int64_t count = std::min(block_rows, rows - row), next_row = row + count,
                    next_count = std::min(block_rows, rows - next_row);
      const float* a = block;
      int64_t a_rows = count;
      if (is_first) {
        pack_activated(plan.affine, count, xs + row * C, PanelsAlongRows<Arithmetic>{block, count});
      } else if constexpr (is_dot<Arithmetic>) {
        pack(count, C, input(i) + row * C, PanelsAlongRows<Arithmetic>{block, count});
      } else {
        a = input(i) + row * kWidth;
        a_rows = StagePlan::panel_rows(rows);
      }
      Prefetcher prefetcher;
      if (is_first) prefetcher.add(xs + next_row * C, next_count * C);
      if (residuals != nullptr) prefetcher.add(residuals + next_row * K, next_count * K);
      if (is_first || residuals != nullptr) prefetcher.spread(steps_of_multiply(count, depth, K));
      const auto multiply_block = [&](const auto& finish) {
        multiply_rows<Arithmetic>(a_rows, count, depth, K, a, plan.filters.template data<float>(), prefetcher,
                                  finish);
      };
      if (is_last) {
        multiply_block(ResultRows<T>{K, residuals == nullptr ? nullptr : residuals + row * K,
                                     part_of<T>(y_, (begin + row) * K)});
      } else {
        PixelOutput output = next_input(i, images);
        output.to += output.layout.at(row, 0);
        multiply_block(FinishInput{output});
      }
    }
  }

  /// From a library's result to the next stage's input.
  void activate_product(size_t i, const Interval& images) {
    const PixelOutput output = next_input(i, images);
    const int64_t K = plans_[i].problem.K, pixels = images.count() * plans_[i].y_pixels();
    float* const product = product_.data<float>();
    if (plans_[i + 1].is_library()) {
      round_product(pixels * K);
      return activate(*output.affine, product, pixels * K, output.to);
    }
    for (int64_t c = 0; c < K; c += kWidth) {
      const auto activation = output.activation(c);
      for (int64_t pixel = 0; pixel < pixels; ++pixel) {
        store(output.to + output.layout.at(pixel, c), AllLanes<float>(),
              activation(load(product + pixel * K + c, AllLanes<float>())));
      }
    }
  }

  /// As if it had been stored, so that a stage by itself has the same bits.
  void round_product(int64_t count) {
    if constexpr (is_rounded) {
      for_each_vector<float>(count, [values = product_.data<float>()](int64_t i, auto lanes) {
        const Vec<float> value = load(values + i, lanes);
        store(values + i, lanes, widen(round_to_bf16(value)));
      });
    }
  }

  /// Where an engine of chunks leaves the last stage's product: in y, if that has the dtype.
  float* last_product(const Interval& images) {
    if constexpr (is_rounded) {
      return product_.data<float>();
    } else {
      return y_.data<float>() + images.begin * plans_.back().problem.y_image();
    }
  }

  /// y = the last stage's product + residual.
  void finish_product(const Interval& images) {
    if (!is_rounded && !residual_.defined()) return;
    const int64_t y_image = plans_.back().problem.y_image(), begin = images.begin * y_image;
    const float* const product = last_product(images);
    const T* const added = residual_.defined() ? residual_.data<T>() + begin : nullptr;
    T* const target = y_.data<T>() + begin;
    for_each_vector<float>(images.count() * y_image, [=](int64_t i, auto lanes) {
      const Vec<float> value = load(product + i, lanes);
      store(target + i, lanes, added == nullptr ? value : value + load(added + i, lanes));
    });
  }

  const std::vector<StagePlan>& plans_;
  const Tensor &x_, &residual_;
  Tensor& y_;
  std::array<Tensor, 2> inputs_;  // even stages read the first and odd ones the second
  Tensor block_;                  // rows that are packed for a product
  Tensor product_;                // where what convolves cannot finish it
  std::vector<winograd::TileConv> tiles_;
  std::vector<std::unique_ptr<ChunkRunner>> runners_;
};

/// oneDNN brings weights into its layout on one thread: each takes another stage. The other forms use all.
std::vector<StagePlan> plans_for(const PreactivationStages& chain, const std::vector<ConvProblem>& problems,
                                 const Chunks& chunks, Dtype dtype) {
  std::vector<StagePlan> plans;
  std::vector<size_t> of_library;
  for (size_t i = 0; i < problems.size(); ++i) {
    plans.emplace_back(chain.stages[i], Chunks::images(problems[i], chunks), dtype);
    if (plans.back().is_library()) of_library.push_back(i);
  }
  parallel_for(static_cast<int64_t>(of_library.size()), 1, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      const size_t stage = of_library[static_cast<size_t>(i)];
      plans[stage].library = onednn::conv(ConvPass::forward, Chunks::images(problems[stage], chunks),
                                          as_f32(chain.stages[stage].weight));
    }
  });
  return plans;
}

template <class T>
void forward_as(const Tensor& x, const PreactivationStages& chain, const Tensor& residual, Tensor& y) {
  const std::vector<ConvProblem> problems = problems_of(x.shape(), chain);
  onednn::call("preactivation_chain_forward", problems[0], [&] {
    const Chunks chunks = chain_chunks(problems);
    const std::vector<StagePlan> plans = plans_for(chain, problems, chunks, x.dtype());
    parallel_for(chunks.count(), 1, [&](int64_t first, int64_t last) {
      Worker<T> worker(plans, x, residual, y, chunks.largest());
      for (int64_t chunk = first; chunk < last; ++chunk) worker.run(chunks.units(chunk));
      end_streaming();
    });
  });
}

}  // namespace

void forward(const Tensor& x, const PreactivationStages& chain, const Tensor& residual, Tensor& y) {
  visit_storage("preactivation_chain_forward", x.dtype(),
                [&]<class T>() { forward_as<T>(x, chain, residual, y); });
}

}  // namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT::fused_chain
