#pragma once

#include <cstdint>
#include <vector>

#include "fovea/kernels/cuda/conv/cudnn.h"
#include "fovea/kernels/cuda/conv/key.h"

namespace fovea::cudnn {

using kernels::cuda::ConvEngine;
using kernels::cuda::ConvKey;

/// What an engine does beside its work: compiling at run time, for one.
std::vector<cudnnBackendBehaviorNote_t> behaviours_of(const Descriptor& engine);

/// An engine that cuDNN proposes, and what it says of it.
struct Proposal {
  ConvEngine engine;
  std::vector<cudnnBackendNumericalNote_t> notes;
  std::vector<cudnnBackendBehaviorNote_t> behaviours;
  int64_t workspace_bytes = 0;

  bool has(cudnnBackendNumericalNote_t note) const;
  bool has(cudnnBackendBehaviorNote_t behaviour) const;
};

/// The largest workspace that an engine may ask for.
inline constexpr int64_t kWorkspaceLimit = int64_t{256} << 20;

/// What cuDNN proposes for a convolution on a device, the fastest by its own estimate first: its two
/// heuristics, then the engines that serve where those fail; each engine with each setting once. DeviceError
/// for a convolution that makes no sense to cuDNN.
std::vector<Proposal> proposals(const ConvKey& problem, const Target& target);

/// Whether a proposal gives the same bits on every run, sums in f32, reads its factors in the problem's
/// precision, and needs no more workspace than `workspace_limit`.
bool is_acceptable(const ConvKey& problem, const Proposal& proposal,
                   int64_t workspace_limit = kWorkspaceLimit);

/// A convolution that is ready to run on its target.
class EnginePlan {
 public:
  EnginePlan(const ConvKey& problem, const ConvEngine& engine, const Target& target);

  int64_t workspace_bytes() const { return workspace_bytes_; }
  /// x, weight, y, workspace: addresses on the current device; the first three aligned to kAlignment.
  void execute(void* x, void* weight, void* y, void* workspace) const;

  static constexpr int64_t kAlignment = 16;

 private:
  Descriptor plan_;
  int64_t workspace_bytes_;
};

}  // namespace fovea::cudnn
