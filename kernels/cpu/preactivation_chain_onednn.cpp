#include <algorithm>
#include <array>
#include <optional>
#include <utility>
#include <vector>

#include "fovea/core/parallel_for.h"
#include "fovea/kernels/cpu/affine.h"
#include "fovea/kernels/cpu/conv_plan.h"
#include "fovea/kernels/cpu/preactivation_conv_onednn.h"

// A thread takes a few images through all stages: x and y go through memory once, all else stays in its L2
// cache.
namespace fovea::kernels::cpu::onednn {
namespace {

/// A stage, ready to be run.
struct Link {
  Affine<float> affine;
  ChunkConv conv;
  int64_t x_image, y_image;  // numbers in an image
};

std::vector<ConvProblem> problems_of(const Tensor& x, const PreactivationStages& chain) {
  std::vector<ConvProblem> problems;
  Shape shape = x.shape();
  for (const PreactivationStage& stage : chain.stages) {
    problems.emplace_back(shape, stage.weight.shape(), stage.stride, stage.padding);
    shape = problems.back().result();
  }
  return problems;
}

}  // namespace

bool can_fuse(const Tensor& x, const PreactivationStages& chain) {
  // The threads share the images; one alone is better cut into rows.
  if (x.dtype() != Dtype::f32 || x.size() == 0 || x.shape(0) == 1) return false;
  const std::vector<ConvProblem> problems = problems_of(x, chain);
  return std::all_of(problems.begin(), problems.end(),
                     [](const ConvProblem& problem) { return can_fuse(problem); });
}

void preactivation_chain_forward(const Tensor& x, const PreactivationStages& chain, const Tensor& residual,
                                 Tensor& y) {
  const std::vector<ConvProblem> problems = problems_of(x, chain);
  call_onednn("preactivation_chain_forward", problems[0], [&] {
    // Even stages read the first buffer and odd ones the second; the last writes y.
    std::array<int64_t, 2> buffer_image{};
    const int64_t y_image = y.size() / x.shape(0);
    for (size_t i = 0; i < problems.size(); ++i) {
      buffer_image[i % 2] = std::max(buffer_image[i % 2], problems[i].x_image());
    }
    const Cut cut = Cut::images(problems[0], buffer_image[0] + buffer_image[1] + y_image);
    // oneDNN brings weights into its layout on one thread: each takes another stage. Winograd's form uses
    // all.
    std::vector<std::optional<Link>> links(problems.size());
    const auto make_link = [&](size_t i, const Cut& images) {
      const PreactivationStage& stage = chain.stages[i];
      links[i] =
          Link{Affine<float>(stage.norm, fold_of(problems[i].C)),
               ChunkConv(Pass::forward, images, stage.weight), problems[i].x_image(), problems[i].y_image()};
    };
    std::vector<std::pair<size_t, Cut>> by_one_thread;
    for (size_t i = 0; i < problems.size(); ++i) {
      add_multiply_adds(problems[i].N * problems[i].y_image() * chain.stages[i].weight.shape().size(1, 4));
      const Cut images = Cut::images(problems[i], cut);
      if (ChunkConv::takes_winograd(images)) {
        make_link(i, images);
      } else {
        by_one_thread.emplace_back(i, images);
      }
    }
    parallel_for(static_cast<int64_t>(by_one_thread.size()), 1, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) {
        const auto& [stage, images] = by_one_thread[static_cast<size_t>(i)];
        make_link(stage, images);
      }
    });
    parallel_for(cut.chunks(), 1, [&](int64_t first, int64_t last) {
      std::array<Tensor, 2> buffers;
      for (size_t i = 0; i < 2; ++i) buffers[i] = Tensor::empty({cut.largest() * buffer_image[i]});
      std::vector<ChunkRunner> runs;
      runs.reserve(links.size());
      for (const auto& link : links) runs.emplace_back(link->conv);
      for (int64_t chunk = first; chunk < last; ++chunk) {
        const Range images = cut.units(chunk);
        const float* from = x.data<float>() + images.begin * links[0]->x_image;
        float* const target = y.data<float>() + images.begin * y_image;
        for (size_t i = 0; i < links.size(); ++i) {
          const Link& link = *links[i];
          float* const a = buffers[i % 2].data<float>();
          float* const to = i + 1 == links.size() ? target : buffers[(i + 1) % 2].data<float>();
          activate(link.affine, from, images.count() * link.x_image, a);
          runs[i](images.count(), a, to);
          from = to;
        }
        if (!residual.defined()) continue;
        const float* const added = residual.data<float>() + images.begin * y_image;
        for (int64_t i = 0; i < images.count() * y_image; ++i) target[i] += added[i];
      }
    });
  });
}

}  // namespace fovea::kernels::cpu::onednn
