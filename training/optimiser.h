#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "fovea/core/ranks.h"
#include "fovea/core/safetensors.h"
#include "fovea/core/settings_fields.h"
#include "fovea/kernels/orthogonalise.h"
#include "fovea/layers/module.h"

#pragma GCC visibility push(default)
namespace fovea {

/// See Optimiser.
enum class OptimiserKind { sgd, adamw, muon };
template <>
inline constexpr EnumNames enum_names<OptimiserKind>{"optimiser", {"sgd", "adamw", "muon"}};

/// Which optimiser, and the constants of its formula.
struct OptimiserSettings {
  OptimiserKind kind = OptimiserKind::sgd;
  double momentum = 0.9;
  bool nesterov = true;
  double weight_decay = 5e-4;       // sgd: added to the gradient; adamw, matrices of muon: decoupled
  bool decay_norm_and_bias = true;  // false: parameters of rank 0 and 1 are not decayed
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double clip_norm = 0;    // the largest norm of all gradients together, which are scaled to it; 0: any
  double vector_rate = 1;  // muon: of the parameters of rank 0 and 1, as a multiple of the learning rate

  template <class V>
  void visit(V&& v) {
    const bool adamw = kind == OptimiserKind::adamw, muon = kind == OptimiserKind::muon;
    v("kind", kind, {.help = "rule of a step", .flag = "optimiser"});
    v("momentum", momentum, {.help = "of sgd and muon", .most = 1, .below_most = true, .is_used = !adamw});
    v("nesterov", nesterov, {.help = "of sgd and muon: Nesterov's form of the momentum", .is_used = !adamw});
    v("beta1", beta1, {.help = "of adamw", .most = 1, .below_most = true, .is_used = adamw});
    v("beta2", beta2, {.help = "of adamw", .most = 1, .below_most = true, .is_used = adamw});
    v("epsilon", epsilon,
      {.help = "of adamw", .most = 1, .above_least = true, .below_most = true, .is_used = adamw});
    v("vector_rate", vector_rate,
      {.help = "of muon: learning rate of batch norms and biases, as a multiple of that of the matrices",
       .most = 1e6,
       .is_used = muon});
    v("weight_decay", weight_decay,
      {.help = "strength of the pull towards zero", .most = 1e6, .below_most = true});
    v("decay_norm_and_bias", decay_norm_and_bias, {.help = "weight decay on batch norm and biases too"});
    v("clip_norm", clip_norm,
      {.help = "scale gradients down to this norm, all together; 0: never", .most = 1e6});
  }
};

/// UsageError that names the setting if one makes no sense.
void check_settings(const OptimiserSettings& settings);

/// SGD with momentum (Sutskever et al. 2013, as PyTorch writes it), AdamW (Loshchilov and Hutter 2019) or
/// Muon (Jordan et al. 2024, as PyTorch writes it: the momentum of each filter and matrix, filters as one row
/// for each output channel, is orthogonalised, see kernels/orthogonalise.h; batch norms and biases have SGD)
/// over all parameters that require a gradient. It moves them and their gradients into flat arenas, so that a
/// step is one pass; the module must not be moved to another device or dtype afterwards.
///
/// With a 16-bit `working` dtype, the module computes with copies of its parameters rounded to it, and their
/// gradients are of that dtype; the f32 parameters are kept here, and a step renews the copies. Batch norms
/// keep f32 parameters. The parameters' own dtype is as good as none.
class Optimiser {
 public:
  Optimiser(Module& module, const OptimiserSettings& settings, std::optional<Dtype> working = {});
  ~Optimiser();
  Optimiser(const Optimiser&) = delete;
  Optimiser& operator=(const Optimiser&) = delete;

  /// Updates every parameter by its gradient. A parameter that received none since zero_grad has gradient 0.
  void step(double learning_rate);
  /// A step whose numbers lie on the device, so that it can be captured. The gradients are multiplied
  /// by `gradient_scale` before, if that is defined; where `non_finite`, if defined, is not 0, nothing
  /// changes. learning_rate, gradient_scale: [], f32 (f64 for f64 parameters); non_finite: i64 []
  void step(const Tensor& learning_rate, const Tensor& gradient_scale, const Tensor& non_finite);
  void zero_grad();
  /// Makes the gradients sums over all ranks.
  void sum_gradients(Ranks& ranks);
  /// count (i64 []) += how many numbers of the gradients are NaN or infinite.
  void count_non_finite(Tensor& count) const;

  /// Steps taken so far, those before a load_state included. Waits for the device.
  int64_t steps() const;
  /// The same where it lies on the device: i64 []
  const Tensor& step_count() const { return steps_; }
  const OptimiserSettings& settings() const { return settings_; }
  /// Where the parameters lie.
  Device device() const { return steps_.device(); }

  /// What a checkpoint must keep, under names made from the parameters' paths; shares the storage.
  std::vector<NamedTensor> state() const;
  /// Takes a state back. CheckpointError names what is missing, unexpected or of another shape, and `where`;
  /// then nothing has changed.
  void load_state(std::span<const NamedTensor> state, const std::string& where);
  /// The parameters as the optimiser keeps them, under their paths; shares the storage.
  std::vector<NamedTensor> weights() const;
  /// What these lie in.
  std::vector<Tensor> arenas() const;
  /// Renews the copies that the module computes with, after `weights` have been changed.
  void renew_copies();

  /// Gives the module its parameters as they are kept here; there are no more steps then. Done when the
  /// optimiser goes, too. Without 16-bit copies it has them anyway.
  void give_back();

  /// The path of the last parameter (the nearest to the loss) with a NaN or Inf in its gradient; "" if none.
  std::string non_finite_gradient() const;

 private:
  /// Parameters that the module sees in one dtype, one after the other.
  struct Arena {
    Tensor weights;    // as they are updated
    Tensor gradients;  // in the dtype that the module sees
    Tensor copy;       // what the module sees, where that is another dtype than that of weights
    std::vector<Tensor> moments;
    int64_t size = 0;          // in elements
    int64_t matrix_count = 0;  // of them those of the matrices that muon orthogonalises, which lie first
    int64_t decay_count = 0;   // up to where parameters are decayed
    std::vector<kernels::MatrixPlace> matrices;
    Tensor update, velocity;  // of the matrices, for the length of a step
  };
  struct Slot {
    std::string path;
    Variable variable;
    size_t arena;
    int64_t offset;  // in elements of the arena
  };
  Tensor in_arena(const Tensor& arena, const Slot& slot) const;
  void place(size_t arena, Dtype dtype, Device device);
  void fill_missing_gradients();
  Tensor clipped(const Tensor& gradient_scale);
  void step_sgd(Arena& arena, const Tensor& learning_rate, const Tensor& gradient_scale,
                const Tensor& non_finite);
  void step_matrices(Arena& arena, const Tensor& learning_rate, const Tensor& gradient_scale,
                     const Tensor& non_finite);

  OptimiserSettings settings_;
  std::vector<const char*> moment_names_;
  std::vector<Slot> slots_;    // in the order of the module
  std::vector<Arena> arenas_;  // one, or two: what the module sees as it is, and what it sees in 16 bits
  Tensor steps_;               // i64 []
  Tensor square_sums_, clip_scale_;  // [kSquareSums], []: with clip_norm
  Tensor minus_one_;                 // []
  Tensor vector_rate_;               // of muon: [], the learning rate of a step times settings_.vector_rate
};

}  // namespace fovea
#pragma GCC visibility pop
