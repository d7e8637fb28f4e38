#include "fovea/training/training_step.h"

#include <algorithm>
#include <cmath>

#include "fovea/core/check.h"
#include "fovea/kernels/arithmetic.h"
#include "fovea/kernels/cast.h"
#include "fovea/kernels/count_correct.h"
#include "fovea/kernels/count_non_finite.h"
#include "fovea/kernels/training_counters.h"
#include "fovea/layers/functional.h"

namespace fovea {
namespace {

constexpr double kFirstLossScale = 65536;
constexpr int64_t kPatience = 2000;  // steps before the scale is doubled, as in Micikevicius et al. 2018

}  // namespace

TrainingStep::TrainingStep(Model& model, Optimiser& optimiser, const TrainingSettings& settings,
                           int64_t steps_per_epoch)
    : model_(model),
      optimiser_(optimiser),
      statistics_(model),
      label_smoothing_(settings.label_smoothing),
      accumulation_(settings.accumulation),
      ranks_(settings.ranks),
      joins_statistics_(settings.sync_norm),
      has_loss_scale_(settings.precision == Precision::f16) {
  const Device device = optimiser.device();
  const Dtype dtype = optimiser.weights()[0].tensor.dtype();
  rates_ = Tensor::zeros({steps_per_epoch}, dtype, device);
  rate_ = Tensor::zeros({}, dtype, device);
  position_ = Tensor::zeros({}, Dtype::i64, device);
  losses_ = Tensor::zeros({steps_per_epoch}, dtype, device);
  failures_ = Tensor::zeros({steps_per_epoch}, Dtype::i64, device);
  corrects_ = Tensor::zeros({steps_per_epoch}, Dtype::i64, device);
  correct_ = Tensor::zeros({}, Dtype::i64, device);
  non_finite_ = Tensor::zeros({}, Dtype::i64, device);
  non_finite_losses_ = Tensor::zeros({}, Dtype::i64, device);
  loss_scale_ = Tensor::full({}, has_loss_scale_ ? kFirstLossScale : 1, dtype, device);
  inverse_scale_ = Tensor::zeros({}, dtype, device);
  part_scale_ = Tensor::zeros({}, dtype, device);
  good_steps_ = Tensor::zeros({}, Dtype::i64, device);
  if (settings.ema_decay > 0) {
    std::vector<Tensor> followed = optimiser.arenas();
    for (const Tensor& arena : statistics_.arenas()) followed.push_back(arena);
    averages_.emplace(followed, settings.ema_decay);
  }
  renew();
}

void TrainingStep::renew() {
  inverse_scale_.copy_from(
      Tensor::full({}, 1 / loss_scale_.item(), loss_scale_.dtype()).to(loss_scale_.device()));
}

void TrainingStep::begin_epoch(std::span<const double> rates, int64_t next, int64_t correct) {
  check(std::ssize(rates) == rates_.size() && next >= 0 && next <= rates_.size(),
        "TrainingStep: ", rates.size(), " learning rates and step ", next, " in an epoch of ", rates_.size(),
        " steps");
  const Tensor host = Tensor::from<double>({rates.begin(), rates.end()}, {std::ssize(rates)});
  Tensor rounded = Tensor::empty(host.shape(), rates_.dtype());
  kernels::cast_forward(host, rounded);
  rates_.copy_from(rounded);
  position_.copy_from(Tensor::from<int64_t>({next}, {}));
  // The ranks' counts are added up.
  correct_.copy_from(Tensor::from<int64_t>({ranks_ == nullptr || ranks_->rank() == 0 ? correct : 0}, {}));
}

Variable TrainingStep::loss_of(const Variable& logits, const Batch& batch) const {
  if (!batch.partners.defined()) return F::softmax_cross_entropy(logits, batch.labels, label_smoothing_);
  Tensor targets = Tensor::empty(logits.shape(), Dtype::f32, logits.value().device());
  kernels::mixed_targets(batch_labels(batch), label_smoothing_, targets);
  return F::softmax_cross_entropy_soft(F::cast(logits, Dtype::f32), targets);
}

/// Forward and backward pass; returns the loss.
Tensor TrainingStep::pass(const Batch& batch, const Tensor& gradient_scale) {
  const Variable logits = model_.forward(batch.images);
  const Variable cross_entropy = loss_of(logits, batch);
  kernels::count_correct(logits.value(), batch.labels, /*k=*/1, correct_);
  cross_entropy.backward(gradient_scale);
  return cross_entropy.value();
}

/// Calls use(part, share of the images of all ranks) for the parts of a batch, whose sizes differ by one at
/// most.
template <class Use>
void TrainingStep::for_each_part(const Batch& batch, const Use& use) const {
  const int64_t B = batch.labels.size(), parts = std::min(accumulation_, B);
  for (int64_t part = 0; part < parts; ++part) {
    const int64_t first = part * B / parts, count = (part + 1) * B / parts - first;
    use(part_of(batch, first, count), static_cast<double>(count) / static_cast<double>(B * shares()));
  }
}

/// Passes over one part of the batch after the other, whose gradients add up; returns their part of the mean
/// loss.
Tensor TrainingStep::pass_in_parts(const Batch& batch) {
  Tensor loss = Tensor::zeros({}, rate_.dtype(), rate_.device());
  for_each_part(batch, [&](const Batch& part, double share) {
    kernels::scale_forward(loss_scale_, share, part_scale_);
    Tensor part_loss = pass(part, part_scale_).clone();
    kernels::scale_forward(part_loss, share, part_loss);
    kernels::accumulate(part_loss, loss);
  });
  return loss;
}

void TrainingStep::repeat(const Batch& batch, bool with_gradients) {
  const SharedBatch shared(ranks_, joins_statistics_);
  optimiser_.zero_grad();
  for_each_part(batch, [&](const Batch& part, double) {
    const Variable loss = loss_of(model_.forward(part.images), part);
    if (with_gradients) loss.backward();
  });
}

void TrainingStep::run(const Batch& batch) {
  kernels::begin_step(rates_, position_, rate_);
  const SharedBatch shared(ranks_, joins_statistics_);
  optimiser_.zero_grad();
  Tensor loss = accumulation_ == 1 && ranks_ == nullptr ? pass(batch, loss_scale_) : pass_in_parts(batch);
  Tensor correct = correct_;
  if (ranks_ != nullptr) {
    ranks_->sum(loss);
    optimiser_.sum_gradients(*ranks_);
    if (!joins_statistics_) statistics_.average(*ranks_);
    correct = correct_.clone();
    ranks_->sum(correct);
  }
  // What no loss scale can help.
  Tensor& failures = has_loss_scale_ ? non_finite_losses_ : non_finite_;
  kernels::count_non_finite(loss, failures);
  statistics_.count_non_finite(failures);
  if (has_loss_scale_) {
    kernels::count_non_finite(loss, non_finite_);
    statistics_.count_non_finite(non_finite_);
  }
  optimiser_.count_non_finite(non_finite_);
  optimiser_.step(rate_, has_loss_scale_ ? inverse_scale_ : Tensor(), non_finite_);
  statistics_.settle(non_finite_);
  if (averages_) averages_->follow(optimiser_.step_count(), non_finite_);
  kernels::record_step(loss, failures, correct, position_, losses_, failures_, corrects_);
  if (has_loss_scale_) {
    kernels::update_loss_scale(kPatience, non_finite_losses_, loss_scale_, inverse_scale_, good_steps_,
                               non_finite_);
  }
}

// Weights, moments and what is counted of finished steps change after the passes only.
void TrainingStep::drop() {
  statistics_.undo();
  optimiser_.zero_grad();
}

std::vector<StepOutcome> TrainingStep::outcomes(int64_t first, int64_t count) const {
  const std::vector<double> losses = losses_.slice(first, {count}).to_doubles();
  const std::vector<double> failures = failures_.slice(first, {count}).to_doubles();
  const std::vector<double> corrects = corrects_.slice(first, {count}).to_doubles();
  std::vector<StepOutcome> result;
  for (size_t i = 0; i < losses.size(); ++i) {
    result.push_back({.loss = losses[i],
                      .correct = static_cast<int64_t>(corrects[i]),
                      .is_finite = std::isfinite(losses[i]) && failures[i] == 0});
  }
  return result;
}

std::vector<NamedTensor> TrainingStep::state() const {
  if (!has_loss_scale_) return {};
  return {{"loss_scale", loss_scale_}, {"loss_scale.good_steps", good_steps_}};
}

}  // namespace fovea
