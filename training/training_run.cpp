#include "fovea/training/training_run.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "fovea/core/check.h"
#include "fovea/layers/functional.h"
#include "fovea/training/non_finite.h"

namespace fovea {
namespace {

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// sum / count; 0 for nothing.
double mean_of(double sum, int64_t count) {
  return count == 0 ? 0.0 : sum / static_cast<double>(count);
}

}  // namespace

TrainingRun::TrainingRun(Model& model, int64_t images, const TrainingSettings& settings)
    : model_(model),
      settings_(settings),
      description_(describe(settings)),
      optimiser_(model, settings.optimiser) {
  progress_.seed = settings.seed;
  progress_.images = images;
  progress_.batch_size = std::min(settings.batch_size, images);
  batches_ = images / progress_.batch_size;
  horizon_ = settings.schedule.horizon > 0 ? settings.schedule.horizon : settings.epochs * batches_;
}

void TrainingRun::resume(const Checkpoint& checkpoint) {
  const auto require_same = [&](const char* what, const auto& found, const auto& wanted) {
    check<CheckpointError>(
        found == wanted, "resume: ", checkpoint.where, ": ", what, " is ", found, " in the checkpoint and ",
        wanted, " in this run; go on with the same, or load the weights alone and start a new run");
  };
  check<CheckpointError>(
      !checkpoint.optimiser.empty(), "resume: ", checkpoint.where,
      ": there is no state of an optimiser in it; load the weights alone and start a new run");
  const auto optimiser = checkpoint.settings.find("optimiser");
  if (optimiser != checkpoint.settings.end()) {
    require_same("the optimiser", optimiser->second, description_.at("optimiser"));
  }
  require_same("the number of training images", checkpoint.progress.images, progress_.images);
  require_same("the batch size", checkpoint.progress.batch_size, progress_.batch_size);
  require_same("the seed", checkpoint.progress.seed, progress_.seed);
  check<CheckpointError>(checkpoint.progress.batch <= batches_, "resume: ", checkpoint.where, ": batch ",
                         checkpoint.progress.batch, " of an epoch of ", batches_);

  optimiser_.load_state(checkpoint.optimiser, checkpoint.where);
  load_weights(model_, checkpoint.model, checkpoint.where);
  progress_ = checkpoint.progress;
}

void TrainingRun::seek(Loader& loader) const {
  const bool is_epoch_done = progress_.batch == batches_;  // but for its validation
  loader.seek(progress_.epoch + (is_epoch_done ? 1 : 0), is_epoch_done ? 0 : progress_.batch);
}

StopReason TrainingRun::train_epoch(Loader& loader) {
  model_.train();
  epoch_begin_ = step_seconds_.size();
  while (progress_.batch < batches_) {
    if (settings_.hooks.should_stop && settings_.hooks.should_stop()) return StopReason::stopped;
    if (settings_.max_steps > 0 && progress_.step >= settings_.max_steps) return StopReason::max_steps;
    const double begin = seconds_now();
    const double loss = train_batch(loader.next());
    report_step(loss, seconds_now() - begin);
  }
  return StopReason::finished;
}

double TrainingRun::train_batch(const Batch& batch) {
  const Device device = optimiser_.device();
  const Tensor images = batch.images.to(device), labels = batch.labels.to(device);
  const auto forward = [&] {
    const Variable logits = model_.forward(images);
    return std::pair(logits, F::softmax_cross_entropy(logits, labels, settings_.label_smoothing));
  };
  learning_rate_ = learning_rate(settings_.schedule, progress_.step, horizon_);
  optimiser_.zero_grad();
  double loss_value = 0;
  {
    const auto [logits, loss] = forward();
    loss_value = loss.value().item();
    if (!std::isfinite(loss_value)) {
      fail(str("the loss is ", loss_value), explain_non_finite(model_, [&] { forward(); }));
    }
    progress_.correct += count_correct(logits.value(), labels);
    loss.backward();
  }
  const std::string parameter = optimiser_.non_finite_gradient();
  if (!parameter.empty()) {
    fail("a gradient is not finite",
         str("parameter ", parameter, " is the nearest to the loss of those concerned"));
  }
  optimiser_.step(learning_rate_);

  progress_.loss_sum += loss_value;
  ++progress_.batch;
  ++progress_.step;
  return loss_value;
}

void TrainingRun::fail(const std::string& what, const std::string& cause) const {
  throw Error(str("train: ", what, " at step ", progress_.step + 1, " (epoch ", progress_.epoch + 1,
                  ", learning rate ", learning_rate_, "): ", cause,
                  "; lower the learning rate, lengthen the warm-up, or look at the data"));
}

void TrainingRun::report_step(double loss, double seconds) {
  step_seconds_.push_back(seconds);
  constexpr double kWeight = 0.1;  // of the newest step
  smoothed_seconds_ =
      step_seconds_.size() == 1 ? seconds : (1 - kWeight) * smoothed_seconds_ + kWeight * seconds;
  if (!settings_.hooks.on_step) return;
  const int64_t all_steps = settings_.epochs * batches_;
  settings_.hooks.on_step({
      .step = progress_.step,
      .steps = settings_.max_steps > 0 ? std::min(settings_.max_steps, all_steps) : all_steps,
      .epoch = progress_.epoch + 1,
      .epochs = settings_.epochs,
      .batch = progress_.batch,
      .batches = batches_,
      .loss = loss,
      .epoch_loss = mean_of(progress_.loss_sum, progress_.batch),
      .epoch_accuracy =
          mean_of(static_cast<double>(progress_.correct), progress_.batch * progress_.batch_size),
      .learning_rate = learning_rate_,
      .images_per_second = static_cast<double>(progress_.batch_size) / smoothed_seconds_,
  });
}

bool TrainingRun::is_best(const std::optional<Evaluation>& validation) const {
  return validation && (progress_.best_epoch == 0 || validation->accuracy > progress_.best_accuracy);
}

void TrainingRun::finish_epoch(const std::optional<Evaluation>& validation) {
  const bool is_best_epoch = is_best(validation);
  progress_.train_loss = mean_of(progress_.loss_sum, batches_);
  progress_.train_accuracy = mean_of(static_cast<double>(progress_.correct), batches_ * progress_.batch_size);
  progress_.validation = validation;
  ++progress_.epoch;
  progress_.batch = 0;
  progress_.loss_sum = 0;
  progress_.correct = 0;
  if (is_best_epoch) {
    progress_.best_accuracy = validation->accuracy;
    progress_.best_epoch = progress_.epoch;
  }
  if (!settings_.hooks.on_epoch) return;
  settings_.hooks.on_epoch({
      .epoch = progress_.epoch,
      .epochs = settings_.epochs,
      .step = progress_.step,
      .train_loss = progress_.train_loss,
      .train_accuracy = progress_.train_accuracy,
      .learning_rate = learning_rate_,
      .images_per_second = images_per_second(epoch_begin_),
      .validation = validation,
      .is_best = is_best_epoch,
  });
}

double TrainingRun::images_per_second(size_t first_step) const {
  const double seconds =
      median({step_seconds_.begin() + static_cast<std::ptrdiff_t>(first_step), step_seconds_.end()});
  return seconds > 0 ? static_cast<double>(progress_.batch_size) / seconds : 0;
}

TrainingResult TrainingRun::result(StopReason reason) const {
  TrainingResult result;
  result.reason = reason;
  result.steps = progress_.step;
  result.epochs = progress_.epoch;
  const int64_t batches = progress_.batch;
  result.train_loss = batches > 0 ? mean_of(progress_.loss_sum, batches) : progress_.train_loss;
  result.train_accuracy =
      batches > 0 ? mean_of(static_cast<double>(progress_.correct), batches * progress_.batch_size)
                  : progress_.train_accuracy;
  result.images_per_second = images_per_second(0);
  result.validation = progress_.validation;
  result.best_accuracy = progress_.best_accuracy;
  result.best_epoch = progress_.best_epoch;
  return result;
}

}  // namespace fovea
