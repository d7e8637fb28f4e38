#include "fovea/kernels/cpu/conv/choice.h"

#include <algorithm>

#include "fovea/kernels/cpu/affine.h"
#include "fovea/kernels/cpu/conv/dot_products.h"
#include "fovea/kernels/cpu/conv/onednn.h"
#include "fovea/kernels/cpu/conv/panels.h"
#include "fovea/kernels/cpu/conv/storage.h"
#include "fovea/kernels/cpu/conv/winograd.h"

namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT {
namespace {

bool is_f32_inside(const ConvProblem& problem, Dtype dtype) {
  return is_storage(dtype) && problem.N * problem.x_image() > 0;
}

/// Where the result of a product has few channels oneDNN's kernels are slow, and Eigen's are not (measured on
/// two Zen 5 cores at 32x32 pixels, of 8 channels from 32: dx 11 against 29 GFLOP/s, dweight 11 against 36).
bool is_narrow(ConvPass pass, const ConvProblem& problem) {
  constexpr int64_t kFewChannelsOfX = 8, kFewChannelsOfY = 16;
  if (!problem.is_pointwise()) return false;
  if (pass == ConvPass::backward_input) return problem.C <= kFewChannelsOfX;
  return pass == ConvPass::backward_weight && problem.K <= kFewChannelsOfY && problem.K < problem.C;
}

/// Whether rows of pixels are whole vectors, and there are channels enough for oneDNN's kernels to be fast.
bool suits_chunks(const ConvProblem& problem) {
  constexpr int64_t kFewest = 16;
  return std::min(problem.C, problem.K) >= kFewest && problem.W % fold_of(problem.C) == 0 &&
         problem.Q() % fold_of(problem.K) == 0;
}

}  // namespace

const char* name_of(ConvEngine engine) {
  switch (engine) {
    case ConvEngine::onednn: return "onednn";
    case ConvEngine::winograd: return "winograd";
    case ConvEngine::narrow: return "narrow";
    case ConvEngine::unfolded: break;
  }
  return "unfolded";
}

const char* name_of(PreactivationForm form) {
  switch (form) {
    case PreactivationForm::packed_1x1: return "packed_1x1";
    case PreactivationForm::chunks: return "chunks";
    case PreactivationForm::composed: break;
  }
  return "composed";
}

ConvEngine choose(ConvPass pass, const ConvProblem& problem, Dtype dtype) {
  if (is_storage(dtype) && is_narrow(pass, problem)) return ConvEngine::narrow;
  if (!is_f32_inside(problem, dtype)) return ConvEngine::unfolded;
  return chunk_engine(chunks_of(pass, problem)).value_or(ConvEngine::unfolded);
}

std::optional<ConvEngine> chunk_engine(const Chunks& chunks) {
  if (winograd::suits(chunks.problem(chunks.smallest()))) return ConvEngine::winograd;
  if (onednn::is_available() && onednn::is_safe(chunks.whole())) return ConvEngine::onednn;
  return std::nullopt;
}

PreactivationForm choose_preactivation(const ConvProblem& problem, Dtype dtype) {
  if (!is_f32_inside(problem, dtype)) return PreactivationForm::composed;
  if (packs_1x1(problem)) return PreactivationForm::packed_1x1;
  const bool has_engine = chunk_engine(preactivation_chunks(problem, /*is_forward=*/true)) &&
                          chunk_engine(preactivation_chunks(problem, /*is_forward=*/false));
  return has_engine && suits_chunks(problem) ? PreactivationForm::chunks : PreactivationForm::composed;
}

bool packs_1x1(const ConvProblem& problem) {
  constexpr int64_t kWidth = kLanes<float>;
  return kWidth >= 8 && problem.is_pointwise() && problem.C % kWidth == 0 && problem.K % kWidth == 0 &&
         problem.H * problem.W % kRowMultiple == 0;
}

bool multiplies_pairs(ConvPass pass, const ConvProblem& problem, Dtype dtype) {
  if (dtype != Dtype::bf16 || !uses_dot_products() || !packs_1x1(problem)) return false;
  if (pass == ConvPass::backward_weight) return true;  // sums over rows, of which there is an even number
  // Along the sum panels of pairs are as wide as two registers.
  return (pass == ConvPass::forward ? problem.C : problem.K) % (2 * kLanes<float>) == 0;
}

Tensor filters_in_form(const Tensor& weight, int64_t pixels, const void* kind,
                       const std::function<Tensor()>& make) {
  constexpr int64_t kFewPixels = 1024;
  return pixels <= kFewPixels ? weight.form(kind, make) : make();
}

Chunks preactivation_chunks(const ConvProblem& problem, bool is_forward) {
  // x, a and a copy of da; y and what is finished or undone of it.
  return {problem, /*floats_per_x=*/is_forward ? 2 : 3, /*floats_per_y=*/2};
}

bool is_chained(const Tensor& x, const PreactivationStages& chain) {
  // The threads share the images; one alone is better cut into rows.
  if (!is_storage(x.dtype()) || x.size() == 0 || x.shape(0) == 1) return false;
  const std::vector<ConvProblem> problems = problems_of(x.shape(), chain);
  const Chunks chunks = chain_chunks(problems);
  return std::all_of(problems.begin(), problems.end(), [&](const ConvProblem& problem) {
    if (packs_1x1(problem)) return true;
    return chunk_engine(Chunks::images(problem, chunks)).has_value() && suits_chunks(problem);
  });
}

Chunks chain_chunks(const std::vector<ConvProblem>& problems) {
  // Of an image, at once, but for what oneDNN's stages have in between.
  int64_t floats = 0;
  for (const ConvProblem& problem : problems) {
    floats = std::max(floats, problem.x_image() + problem.y_image());
  }
  return Chunks::images(problems[0], floats);
}

}  // namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT
