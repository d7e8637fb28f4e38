#include "fovea/training/optimiser.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "fovea/core/check.h"
#include "fovea/kernels/adamw.h"
#include "fovea/kernels/finite.h"
#include "fovea/kernels/sgd.h"

namespace fovea {
namespace {

constexpr int64_t kAlignment = 16;  // in elements: every parameter begins on a cache line

int64_t aligned(int64_t size) {
  return (size + kAlignment - 1) / kAlignment * kAlignment;
}

}  // namespace

const char* name_of(OptimiserKind kind) {
  return kind == OptimiserKind::sgd ? "sgd" : "adamw";
}

OptimiserKind parse_optimiser_kind(const std::string& name) {
  for (const OptimiserKind kind : {OptimiserKind::sgd, OptimiserKind::adamw}) {
    if (name == name_of(kind)) return kind;
  }
  throw UsageError(str("optimiser: \"", name, "\" is unknown, wanted sgd or adamw"));
}

void check_settings(const OptimiserSettings& settings) {
  const auto check_range = [](const char* name, double value, double below) {
    check<UsageError>(value >= 0 && value < below, "optimiser: ", name, " is ", value, ", wanted 0 <= ", name,
                      " < ", below);
  };
  check_range("momentum", settings.momentum, 1);
  check_range("weight_decay", settings.weight_decay, 1e6);
  check_range("beta1", settings.beta1, 1);
  check_range("beta2", settings.beta2, 1);
  check<UsageError>(settings.epsilon > 0 && settings.epsilon < 1, "optimiser: epsilon is ", settings.epsilon,
                    ", wanted 0 < epsilon < 1");
}

Optimiser::Optimiser(Module& module, const OptimiserSettings& settings) : settings_(settings) {
  check_settings(settings);
  for (NamedParameter& parameter : named_parameters(module)) {
    if (parameter.variable.requires_grad()) slots_.push_back({parameter.path, parameter.variable, 0});
  }
  check(!slots_.empty(), "optimiser: the module has no parameter that requires a gradient");
  const Dtype dtype = slots_[0].variable.dtype();
  const Device device = slots_[0].variable.value().device();

  int64_t total = 0;
  const auto place = [&](bool decayed) {
    for (Slot& slot : slots_) {
      const bool is_decayed = settings_.decay_norm_and_bias || slot.variable.shape().rank() > 1;
      if (is_decayed != decayed) continue;
      slot.offset = total;
      total += aligned(slot.variable.value().size());
    }
  };
  place(/*decayed=*/true);
  decay_count_ = total;
  place(/*decayed=*/false);

  parameters_ = Tensor::zeros({total}, dtype, device);
  gradients_ = Tensor::zeros({total}, dtype, device);
  for (Slot& slot : slots_) {
    const Tensor value = slot.variable.value();
    check(value.dtype() == dtype && value.device() == device, "optimiser: parameter ", slot.path, " is ",
          value, " on ", value.device(), ", the first one ", dtype, " on ", device);
    Tensor place_in_arena = parameters_.slice(slot.offset, value.shape());
    place_in_arena.copy_from(value);
    slot.variable.value() = place_in_arena;
    slot.variable.bind_grad(gradients_.slice(slot.offset, value.shape()));
  }
  const auto add_moment = [&](const char* name) {
    moments_.push_back({name, Tensor::zeros_like(parameters_)});
  };
  if (settings_.kind == OptimiserKind::sgd) {
    add_moment("momentum");
  } else {
    add_moment("first_moment");
    add_moment("second_moment");
  }
}

void Optimiser::zero_grad() {
  for (Slot& slot : slots_) slot.variable.zero_grad();
}

void Optimiser::fill_missing_gradients() {
  for (Slot& slot : slots_) {
    const Tensor& value = slot.variable.value();
    const Tensor in_arena = parameters_.slice(slot.offset, value.shape());
    check(
        value.raw() == in_arena.raw(), "optimiser: parameter ", slot.path,
        " is no longer where the optimiser put it; make a new optimiser after moving or converting a module");
    if (!slot.variable.grad().defined()) {
      Tensor gradient = gradients_.slice(slot.offset, value.shape());
      gradient.fill_with_zeros();
    }
  }
}

void Optimiser::step(double learning_rate) {
  fill_missing_gradients();
  ++steps_;
  const Tensor rate = Tensor::full({}, learning_rate, parameters_.dtype(), parameters_.device());
  const Tensor gradient_scale, non_finite;  // none
  Tensor copy;                              // none
  if (settings_.kind == OptimiserKind::sgd) {
    const kernels::SgdSettings sgd{.momentum = settings_.momentum,
                                   .weight_decay = settings_.weight_decay,
                                   .nesterov = settings_.nesterov,
                                   .decay_count = decay_count_};
    kernels::sgd_step(gradients_, rate, gradient_scale, non_finite, sgd, moments_[0].tensor, parameters_,
                      copy);
  } else {
    const kernels::AdamwSettings adamw{.beta1 = settings_.beta1,
                                       .beta2 = settings_.beta2,
                                       .epsilon = settings_.epsilon,
                                       .weight_decay = settings_.weight_decay,
                                       .decay_count = decay_count_};
    const Tensor number = Tensor::full({}, static_cast<double>(steps_), Dtype::i64, parameters_.device());
    kernels::adamw_step(gradients_, rate, number, gradient_scale, non_finite, adamw, moments_[0].tensor,
                        moments_[1].tensor, parameters_, copy);
  }
}

std::vector<NamedTensor> Optimiser::state() const {
  std::vector<NamedTensor> result;
  for (const auto& [name, moment] : moments_) {
    for (const Slot& slot : slots_) {
      result.push_back({name + "." + slot.path, moment.slice(slot.offset, slot.variable.shape())});
    }
  }
  result.push_back({"steps", Tensor::from<int64_t>({steps_}, {})});
  return result;
}

void Optimiser::load_state(std::span<const NamedTensor> state, const std::string& where) {
  const std::vector<NamedTensor> own = this->state();
  copy_by_name(state, own, str(where, ": state of the optimiser ", name_of(settings_.kind)));
  steps_ = own.back().tensor.data<int64_t>()[0];
}

std::string Optimiser::non_finite_gradient() const {
  const auto count_in = [](const Tensor& x) {
    Tensor count = Tensor::zeros({}, Dtype::i64, x.device());
    kernels::count_non_finite(x, count);
    return count.item();
  };
  if (count_in(gradients_) == 0) return "";
  const auto last = std::find_if(slots_.rbegin(), slots_.rend(), [&](const Slot& slot) {
    return slot.variable.grad().defined() && count_in(slot.variable.grad()) > 0;
  });
  return last == slots_.rend() ? "" : last->path;
}

}  // namespace fovea
