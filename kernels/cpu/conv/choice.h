#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "fovea/core/dtype.h"
#include "fovea/kernels/cpu/conv/chunks.h"
#include "fovea/kernels/preactivation_problem.h"

/// Who convolves: all that is chosen on the CPU is chosen here, from the shapes and the dtype; for pairs of
/// bf16 also by the processor. choices.md beside this file has what is chosen for the networks of models/.
namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT {

enum class ConvEngine {
  onednn,    // chunks of a batch, each from cache to cache on one thread: onednn.h
  winograd,  // chunks likewise, by Winograd's form: winograd.h
  narrow,    // a product over the pixels of few channels, by Eigen: unfold.h
  unfolded,  // im2col and a product by Eigen, any dtype: unfold.h
};
/// "onednn", ...
const char* name_of(ConvEngine engine);

/// What computes one pass of a convolution with which nothing is fused.
ConvEngine choose(ConvPass pass, const ConvProblem& problem, Dtype dtype);

/// What convolves these chunks, whatever is fused with it; nothing where neither engine of chunks can.
std::optional<ConvEngine> chunk_engine(const Chunks& chunks);

/// How a pre-activation convolution is computed.
enum class PreactivationForm {
  packed_1x1,  // products of packed panels, everything else while they are read and written: fused_1x1.cpp
  chunks,      // chunks that go through everything in the cache: fused_chunks.cpp
  composed,    // batch norm, convolution and sums, one pass after the other
};
/// "packed_1x1", ...
const char* name_of(PreactivationForm form);

PreactivationForm choose_preactivation(const ConvProblem& problem, Dtype dtype);

/// Whether products of packed panels compute a convolution behind a batch norm, alone or in a chain.
bool packs_1x1(const ConvProblem& problem);

/// Whether a packed 1x1 multiplies pairs of bf16 in a pass (dot_products.h); forward by itself and within a
/// chain alike, which have the same bits.
bool multiplies_pairs(ConvPass pass, const ConvProblem& problem, Dtype dtype);

/// Filters in an engine's form, which `make` makes of a weight, for a convolution of so many pixels. Where
/// there are few, that takes a good part of the time (a quarter, for an image of attention92-wide), and they
/// are kept with the weight: see Tensor::form, also for `kind`. Where there are many, it is a few percent,
/// which are not worth the memory.
Tensor filters_in_form(const Tensor& weight, int64_t pixels, const void* kind,
                       const std::function<Tensor()>& make);

/// The chunks that the form `chunks` goes through, forward and in both backward passes.
Chunks preactivation_chunks(const ConvProblem& problem, bool is_forward);

/// Whether a few images go through all stages in the cache (fused_chain.cpp), instead of each stage by
/// itself.
bool is_chained(const Tensor& x, const PreactivationStages& chain);

/// The images that a thread takes through a chain at once. A stage is computed by products of packed panels,
/// if packs_1x1 says so, or by the chunk_engine of its images.
Chunks chain_chunks(const std::vector<ConvProblem>& problems);

}  // namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT
