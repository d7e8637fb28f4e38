#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "fovea/core/safetensors.h"
#include "fovea/layers/module.h"

namespace fovea {

enum class OptimiserKind { sgd, adamw };
/// "sgd", "adamw"
const char* name_of(OptimiserKind kind);
/// The kind called `name`; UsageError lists the names if there is none.
OptimiserKind parse_optimiser_kind(const std::string& name);

struct OptimiserSettings {
  OptimiserKind kind = OptimiserKind::sgd;
  double momentum = 0.9;            // sgd
  bool nesterov = true;             // sgd
  double weight_decay = 5e-4;       // sgd: added to the gradient; adamw: decoupled
  bool decay_norm_and_bias = true;  // false: parameters of rank 0 and 1 are not decayed
  double beta1 = 0.9;               // adamw
  double beta2 = 0.999;             // adamw
  double epsilon = 1e-8;            // adamw
};

/// UsageError that names the setting if one makes no sense.
void check_settings(const OptimiserSettings& settings);

/// SGD with momentum (Sutskever et al. 2013, as PyTorch writes it) or AdamW (Loshchilov and Hutter 2019) over
/// all parameters that require a gradient. It moves them and their gradients into two flat f32 arenas, so
/// that a step is one pass; the module must not be moved to another device or dtype afterwards.
class Optimiser {
 public:
  Optimiser(Module& module, const OptimiserSettings& settings);

  /// Updates every parameter by its gradient. A parameter that received none since zero_grad has gradient 0.
  void step(double learning_rate);
  void zero_grad();

  /// Steps taken so far, those before a load_state included.
  int64_t steps() const { return steps_; }
  const OptimiserSettings& settings() const { return settings_; }
  /// Where the parameters lie.
  Device device() const { return parameters_.device(); }

  /// What a checkpoint must keep, under names made from the parameters' paths; shares the storage.
  std::vector<NamedTensor> state() const;
  /// Takes a state back. CheckpointError names what is missing, unexpected or of another shape, and `where`;
  /// then nothing has changed.
  void load_state(std::span<const NamedTensor> state, const std::string& where);

  /// The path of the last parameter (the nearest to the loss) with a NaN or Inf in its gradient; "" if none.
  std::string non_finite_gradient() const;

 private:
  struct Slot {
    std::string path;
    Variable variable;
    int64_t offset;  // in elements of the arenas
  };
  void fill_missing_gradients();

  OptimiserSettings settings_;
  std::vector<Slot> slots_;  // in the order of the module
  int64_t decay_count_ = 0;  // the decayed parameters lie first
  Tensor parameters_, gradients_;
  std::vector<NamedTensor> moments_;  // arenas: "momentum", or "first_moment", ...
  int64_t steps_ = 0;
};

}  // namespace fovea
