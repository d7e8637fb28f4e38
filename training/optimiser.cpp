#include "fovea/training/optimiser.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "fovea/core/check.h"
#include "fovea/kernels/adamw.h"
#include "fovea/kernels/arithmetic.h"
#include "fovea/kernels/cast.h"
#include "fovea/kernels/clip_gradient.h"
#include "fovea/kernels/count_non_finite.h"
#include "fovea/kernels/sgd.h"
#include "fovea/kernels/training_counters.h"
#include "fovea/training/arena.h"

namespace fovea {

void check_settings(const OptimiserSettings& settings) {
  check_ranges(settings, "optimiser");
}

Optimiser::Optimiser(Module& module, const OptimiserSettings& settings, std::optional<Dtype> working)
    : settings_(settings) {
  check_settings(settings);
  moment_names_ = settings_.kind == OptimiserKind::adamw
                      ? std::vector<const char*>{"first_moment", "second_moment"}
                      : std::vector<const char*>{"momentum"};
  for (NamedParameter& parameter : named_parameters(module)) {
    if (!parameter.variable.requires_grad()) continue;
    const bool stays = !working || *working == parameter.variable.dtype() || parameter.stays_f32;
    slots_.push_back({parameter.path, parameter.variable, stays ? size_t{0} : size_t{1}, 0});
  }
  check(!slots_.empty(), "optimiser: the module has no parameter that requires a gradient");
  const Dtype dtype = slots_[0].variable.dtype();
  const Device device = slots_[0].variable.value().device();
  for (const Slot& slot : slots_) {
    const Tensor& value = slot.variable.value();
    check(value.dtype() == dtype && value.device() == device, "optimiser: parameter ", slot.path, " is ",
          value, " on ", value.device(), ", the first one ", dtype, " on ", device);
  }
  check(!working || *working == dtype || (dtype == Dtype::f32 && size_of(*working) == 2),
        "optimiser: the parameters are ", dtype, " and cannot be worked with in ", working.value_or(dtype),
        "; wanted bf16 or f16 beside f32");
  arenas_.resize(working && *working != dtype ? 2 : 1);
  for (size_t arena = 0; arena < arenas_.size(); ++arena) place(arena, dtype, device);
  if (arenas_.size() == 2) {
    arenas_[1].copy = Tensor::zeros({arenas_[1].size}, *working, device);
    arenas_[1].gradients = Tensor::zeros_like(arenas_[1].copy);
    renew_copies();
  }
  for (Slot& slot : slots_) {
    const Arena& arena = arenas_[slot.arena];
    slot.variable.value() = in_arena(arena.copy.defined() ? arena.copy : arena.weights, slot);
    slot.variable.bind_grad(in_arena(arena.gradients, slot));
  }
  steps_ = Tensor::zeros({}, Dtype::i64, device);
  vector_rate_ = Tensor::zeros({}, dtype, device);
  square_sums_ = Tensor::zeros({kernels::kSquareSums}, dtype, device);
  clip_scale_ = Tensor::zeros({}, dtype, device);
  minus_one_ = Tensor::full({}, -1, dtype, device);
}

Optimiser::~Optimiser() {
  give_back();
}

void Optimiser::give_back() {
  for (Slot& slot : slots_) {
    const Arena& arena = arenas_[slot.arena];
    if (!arena.copy.defined() || slot.variable.value().raw() != in_arena(arena.copy, slot).raw()) continue;
    slot.variable.bind_grad(Tensor());
    slot.variable.value() = in_arena(arena.weights, slot);
  }
}

/// Gives the slots of an arena their places, and copies their values there.
void Optimiser::place(size_t number, Dtype dtype, Device device) {
  Arena& arena = arenas_[number];
  const auto is_matrix = [&](const Slot& slot) {
    return settings_.kind == OptimiserKind::muon && slot.variable.shape().rank() > 1;
  };
  const auto is_decayed = [&](const Slot& slot) {
    return settings_.decay_norm_and_bias || slot.variable.shape().rank() > 1;
  };
  const auto place_those = [&](const auto& is_wanted) {
    for (Slot& slot : slots_) {
      if (slot.arena != number || !is_wanted(slot)) continue;
      slot.offset = arena.size;
      arena.size += size_in_arena(slot.variable.value().size());
      if (!is_matrix(slot)) continue;
      const int64_t rows = slot.variable.shape()[0], size = slot.variable.value().size();
      arena.matrices.push_back({slot.offset, rows, rows == 0 ? 0 : size / rows});
    }
  };
  place_those(is_matrix);
  arena.matrix_count = arena.size;
  place_those([&](const Slot& slot) { return !is_matrix(slot) && is_decayed(slot); });
  arena.decay_count = arena.size;
  place_those([&](const Slot& slot) { return !is_decayed(slot); });
  arena.weights = Tensor::zeros({arena.size}, dtype, device);
  arena.gradients = Tensor::zeros_like(arena.weights);
  for (size_t i = 0; i < moment_names_.size(); ++i)
    arena.moments.push_back(Tensor::zeros_like(arena.weights));
  if (arena.matrix_count > 0) {
    arena.update = Tensor::zeros({arena.matrix_count}, dtype, device);
    arena.velocity = Tensor::zeros_like(arena.update);
  }
  for (const Slot& slot : slots_) {
    if (slot.arena != number) continue;
    Tensor weight = in_arena(arena.weights, slot);
    weight.copy_from(slot.variable.value());
  }
}

Tensor Optimiser::in_arena(const Tensor& arena, const Slot& slot) const {
  return arena.slice(slot.offset, slot.variable.shape());
}

void Optimiser::sum_gradients(Ranks& ranks) {
  fill_missing_gradients();
  for (Arena& arena : arenas_) ranks.sum(arena.gradients);
}

void Optimiser::zero_grad() {
  for (Slot& slot : slots_) slot.variable.zero_grad();
}

void Optimiser::fill_missing_gradients() {
  for (Slot& slot : slots_) {
    const Arena& arena = arenas_[slot.arena];
    const Tensor seen = in_arena(arena.copy.defined() ? arena.copy : arena.weights, slot);
    check(
        slot.variable.value().raw() == seen.raw(), "optimiser: parameter ", slot.path,
        " is no longer where the optimiser put it; make a new optimiser after moving or converting a module");
    if (!slot.variable.grad().defined()) in_arena(arena.gradients, slot).fill_with_zeros();
  }
}

void Optimiser::step(double learning_rate) {
  step(Tensor::full({}, learning_rate, arenas_[0].weights.dtype(), device()), Tensor(), Tensor());
}

void Optimiser::step(const Tensor& learning_rate, const Tensor& given_scale, const Tensor& non_finite) {
  fill_missing_gradients();
  const Tensor gradient_scale = settings_.clip_norm > 0 ? clipped(given_scale) : given_scale;
  kernels::count_step(non_finite, steps_);
  for (Arena& arena : arenas_) {
    if (settings_.kind != OptimiserKind::adamw) {
      if (arena.matrix_count > 0) step_matrices(arena, learning_rate, gradient_scale, non_finite);
      step_sgd(arena, learning_rate, gradient_scale, non_finite);
    } else {
      const kernels::AdamwSettings adamw{.beta1 = settings_.beta1,
                                         .beta2 = settings_.beta2,
                                         .epsilon = settings_.epsilon,
                                         .weight_decay = settings_.weight_decay,
                                         .decay_count = arena.decay_count};
      kernels::adamw_step(arena.gradients, learning_rate, steps_, gradient_scale, non_finite, adamw,
                          arena.moments[0], arena.moments[1], arena.weights, arena.copy);
    }
  }
}

/// The scale of gradients that takes their norm into account as well.
Tensor Optimiser::clipped(const Tensor& gradient_scale) {
  square_sums_.fill_with_zeros();
  for (const Arena& arena : arenas_) kernels::square_sums(arena.gradients, square_sums_);
  kernels::clip_scale(square_sums_, gradient_scale, settings_.clip_norm, clip_scale_);
  return clip_scale_;
}

/// SGD for what lies behind the matrices of muon: for all where there are none.
void Optimiser::step_sgd(Arena& arena, const Tensor& learning_rate, const Tensor& gradient_scale,
                         const Tensor& non_finite) {
  const auto behind_matrices = [&](const Tensor& tensor) {
    return tensor.defined() ? tensor.slice(arena.matrix_count, {arena.size - arena.matrix_count}) : Tensor();
  };
  const bool has_own_rate = settings_.kind == OptimiserKind::muon && settings_.vector_rate != 1;
  if (has_own_rate) kernels::scale_forward(learning_rate, settings_.vector_rate, vector_rate_);
  const kernels::SgdSettings sgd{.momentum = settings_.momentum,
                                 .weight_decay = settings_.weight_decay,
                                 .nesterov = settings_.nesterov,
                                 .decay_count = arena.decay_count - arena.matrix_count};
  Tensor velocity = behind_matrices(arena.moments[0]), weights = behind_matrices(arena.weights);
  Tensor copy = behind_matrices(arena.copy);
  kernels::sgd_step(behind_matrices(arena.gradients), has_own_rate ? vector_rate_ : learning_rate,
                    gradient_scale, non_finite, sgd, velocity, weights, copy);
}

/// Both passes over the numbers are SGD's. The first begins with an update of zeros and has the rate -1, so
/// that the update becomes what SGD would subtract; orthogonalised, it is the gradient of the second, which
/// has no momentum.
void Optimiser::step_matrices(Arena& arena, const Tensor& learning_rate, const Tensor& gradient_scale,
                              const Tensor& non_finite) {
  const auto of_matrices = [&](const Tensor& tensor) {
    return tensor.defined() ? tensor.slice(0, {arena.matrix_count}) : Tensor();
  };
  const kernels::SgdSettings momentum{
      .momentum = settings_.momentum, .weight_decay = 0, .nesterov = settings_.nesterov};
  Tensor velocity = of_matrices(arena.moments[0]), none;
  arena.update.fill_with_zeros();
  kernels::sgd_step(of_matrices(arena.gradients), minus_one_, gradient_scale, non_finite, momentum, velocity,
                    arena.update, none);
  kernels::orthogonalise(arena.matrices, {}, arena.update);
  const kernels::SgdSettings update{.momentum = 0,
                                    .weight_decay = settings_.weight_decay,
                                    .nesterov = false,
                                    .decay_count = arena.matrix_count};
  Tensor weights = of_matrices(arena.weights), copy = of_matrices(arena.copy);
  kernels::sgd_step(arena.update, learning_rate, /*gradient_scale=*/{}, non_finite, update, arena.velocity,
                    weights, copy);
}

void Optimiser::count_non_finite(Tensor& count) const {
  for (const Arena& arena : arenas_) kernels::count_non_finite(arena.gradients, count);
}

int64_t Optimiser::steps() const {
  return static_cast<int64_t>(steps_.item());
}

std::vector<NamedTensor> Optimiser::state() const {
  std::vector<NamedTensor> result;
  for (size_t moment = 0; moment < moment_names_.size(); ++moment) {
    for (const Slot& slot : slots_) {
      result.push_back(
          {str(moment_names_[moment], ".", slot.path), in_arena(arenas_[slot.arena].moments[moment], slot)});
    }
  }
  result.push_back({"steps", steps_});
  return result;
}

void Optimiser::load_state(std::span<const NamedTensor> state, const std::string& where) {
  copy_by_name(state, this->state(), str(where, ": state of the optimiser ", name_of(settings_.kind)));
}

std::vector<NamedTensor> Optimiser::weights() const {
  std::vector<NamedTensor> result;
  for (const Slot& slot : slots_) result.push_back({slot.path, in_arena(arenas_[slot.arena].weights, slot)});
  return result;
}

std::vector<Tensor> Optimiser::arenas() const {
  std::vector<Tensor> result;
  for (const Arena& arena : arenas_) result.push_back(arena.weights);
  return result;
}

void Optimiser::renew_copies() {
  for (Arena& arena : arenas_) {
    if (arena.copy.defined()) kernels::cast_forward(arena.weights, arena.copy);
  }
}

std::string Optimiser::non_finite_gradient() const {
  const auto count_in = [](const Tensor& x) {
    Tensor count = Tensor::zeros({}, Dtype::i64, x.device());
    kernels::count_non_finite(x, count);
    return count.item();
  };
  const auto last = std::find_if(slots_.rbegin(), slots_.rend(), [&](const Slot& slot) {
    return slot.variable.grad().defined() && count_in(slot.variable.grad()) > 0;
  });
  return last == slots_.rend() ? "" : last->path;
}

}  // namespace fovea
