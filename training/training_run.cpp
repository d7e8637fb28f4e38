#include "fovea/training/training_run.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "fovea/core/allocator.h"
#include "fovea/core/check.h"
#include "fovea/core/interrupt.h"
#include "fovea/training/non_finite.h"
#include "fovea/training/rank_sums.h"

namespace fovea {
namespace {

constexpr int64_t kStepsBeforeProfile = 2;  // what is prepared at the first use is no part of a step
constexpr size_t kRecent = 15;              // launches that tell how fast the run is now

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// sum / count; 0 for nothing.
double mean_of(double sum, int64_t count) {
  return count == 0 ? 0.0 : sum / static_cast<double>(count);
}

}  // namespace

TrainingRun::TrainingRun(Model& model, const ImageSet& data, const ImageNormalisation& normalisation,
                         const TrainingSettings& settings)
    : model_(model),
      settings_(settings),
      description_(describe(settings)),
      optimiser_(model, settings.optimiser, activation_dtype(settings.precision)),
      progress_{.seed = settings.seed,
                .batch_size = std::min(settings.batch_size, data.size()),
                .images = data.size()},
      per_epoch_(data.size() / progress_.batch_size),
      horizon_(settings.schedule.horizon > 0 ? settings.schedule.horizon : settings.epochs * per_epoch_),
      step_(model, optimiser_, settings, per_epoch_) {
  const Device device = optimiser_.device();
  const LoaderSettings batches{
      .batch_size = progress_.batch_size, .augmentation = settings.augmentation, .seed = settings.seed};
  batches_.emplace(data, normalisation, share_of(batches, settings.ranks),
                   Place{device, activation_dtype(settings.precision)});
}

void TrainingRun::close() {
  graph_.reset();
  batches_.reset();
  optimiser_.give_back();
  is_closed_ = true;
  swap_averages_at_end();  // for good: the model has them now
}

void TrainingRun::load(const Checkpoint& checkpoint) {
  check_finite(checkpoint.model, str("checkpoint: ", checkpoint.where, ": "), kAdviceOnFile);
  take_weights(checkpoint);
  if (step_.averages() != nullptr) step_.averages()->go_on_from_averages();
  optimiser_.renew_copies();
}

/// Takes the weights of a checkpoint that are known to be finite.
void TrainingRun::take_weights(const Checkpoint& checkpoint) {
  copy_by_name(checkpoint.model, weights(), str(checkpoint.where, ": weights of the model"),
               checkpoint.others);
}

/// Parameters and buffers as they are trained, averaged or not.
std::vector<NamedTensor> TrainingRun::trained_weights() const {
  std::vector<NamedTensor> result = weights_of(model_);
  std::map<std::string, Tensor> kept;
  for (const NamedTensor& weight : optimiser_.weights()) kept.emplace(weight.name, weight.tensor);
  for (NamedTensor& weight : result) {
    if (const auto found = kept.find(weight.name); found != kept.end()) weight.tensor = found->second;
  }
  return result;
}

std::vector<NamedTensor> TrainingRun::weights() const {
  std::vector<NamedTensor> result = trained_weights();
  if (step_.averages() == nullptr) return result;
  for (NamedTensor& weight : result) weight.tensor = step_.averages()->averaged(weight.tensor);
  return result;
}

std::vector<NamedTensor> TrainingRun::state() const {
  std::vector<NamedTensor> result = optimiser_.state();
  for (const NamedTensor& tensor : step_.state()) result.push_back(tensor);
  if (step_.averages() == nullptr) return result;
  for (const NamedTensor& weight : trained_weights()) {
    result.push_back({"trained." + weight.name, step_.averages()->trained(weight.tensor)});
  }
  return result;
}

void TrainingRun::swap_averages() {
  if (step_.averages() == nullptr) return;
  step_.averages()->swap();
  optimiser_.renew_copies();
}

/// Where an error may be on its way already.
void TrainingRun::swap_averages_at_end() {
  try {
    swap_averages();
  } catch (const DeviceError&) {
    // The device has failed for good, and that error says so.
  }
}

Evaluation TrainingRun::evaluate(Evaluator& evaluator, const EvaluationSettings& settings) {
  struct Averaged {
    explicit Averaged(TrainingRun& of) : run(of) { run.swap_averages(); }
    ~Averaged() { run.swap_averages_at_end(); }
    TrainingRun& run;
  } const averaged(*this);
  return evaluator.run(settings);
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
  check<CheckpointError>(checkpoint.progress.batch <= per_epoch_, "resume: ", checkpoint.where, ": batch ",
                         checkpoint.progress.batch, " of an epoch of ", per_epoch_);

  check_finite(checkpoint.optimiser, str("resume: ", checkpoint.where, ": state of the optimiser: "),
               kAdviceOnFile);
  check_finite(checkpoint.model, str("resume: ", checkpoint.where, ": "), kAdviceOnFile);
  copy_by_name(checkpoint.optimiser, state(),
               str(checkpoint.where, ": state of the optimiser ", name_of(settings_.optimiser.kind)));
  take_weights(checkpoint);
  optimiser_.renew_copies();
  step_.renew();
  progress_ = checkpoint.progress;
  if (checkpoint.step_seconds > 0) {
    step_seconds_.assign(static_cast<size_t>(progress_.batch), checkpoint.step_seconds);
  }
  convolutions_ = checkpoint.convolutions;
}

void TrainingRun::begin_epoch() {
  model_.train();
  epoch_begin_ = step_seconds_.size() - std::min(step_seconds_.size(), static_cast<size_t>(progress_.batch));
  const int64_t first = progress_.step - progress_.batch;
  rates_.clear();
  for (int64_t i = 0; i < per_epoch_; ++i) {
    rates_.push_back(learning_rate(settings_.schedule, first + i, horizon_));
  }
  // A run that goes on inside an epoch has had a learning rate; another has one before it is asked for.
  if (progress_.batch > 0) learning_rate_ = rates_[static_cast<size_t>(progress_.batch - 1)];
  step_.begin_epoch(rates_, progress_.batch, progress_.correct);
  batches_->begin_epoch(progress_.epoch, progress_.batch);
}

StopReason TrainingRun::train_epoch() {
  begin_epoch();
  while (progress_.batch < per_epoch_) {
    const bool stops = settings_.hooks.should_stop && settings_.hooks.should_stop();
    // Of several ranks one that is to stop stops all, and the clock of the first decides.
    const bool decides = settings_.ranks == nullptr || settings_.ranks->rank() == 0;
    const std::vector<int64_t> agreed =
        sums_over_ranks(settings_.ranks, {stops ? 1 : 0, decides ? steps_at_once() : 0});
    if (agreed[0] > 0) return StopReason::stopped;
    if (settings_.max_steps > 0 && progress_.step >= settings_.max_steps) return StopReason::max_steps;
    const double begin = seconds_now();
    const int64_t count = agreed[1];
    bool is_whole = true;
    if (is_profile_pending() && steps_here_ >= kStepsBeforeProfile) {
      profile_step(
          optimiser_.device(), [&] { is_whole = launch(count); }, profile_);
    } else {
      is_whole = launch(count);
    }
    if (!is_whole) return StopReason::stopped;
    collect(count, begin);
    if (!is_profile_pending()) report_profile();
  }
  return StopReason::finished;
}

/// Whether a step is still to be profiled: such steps run one by one, and none is captured before the last.
bool TrainingRun::is_profile_pending() const {
  const int64_t wanted = settings_.profile_steps;
  return wanted > 0 && steps_here_ < kStepsBeforeProfile + wanted;
}

void TrainingRun::report_profile() {
  const Profile profile = std::exchange(profile_, {});
  if (!profile.steps.empty() && settings_.hooks.on_profile) settings_.hooks.on_profile(profile);
}

/// Steps launched before the host waits for them. What they give does not depend on it: only how often hooks
/// are called, and which states they find.
int64_t TrainingRun::steps_at_once() const {
  constexpr double kMost = 256;
  if (!is_on_device() || recent_seconds_ <= 0 || is_profile_pending()) return 1;
  auto count = static_cast<int64_t>(std::clamp(settings_.report_seconds / recent_seconds_, 1.0, kMost));
  count = std::min(count, per_epoch_ - progress_.batch);
  const int64_t every = settings_.exact_every;
  if (every > 0) count = std::min(count, every - progress_.step % every);
  return settings_.max_steps > 0 ? std::min(count, settings_.max_steps - progress_.step) : count;
}

/// False if the step was interrupted: it has changed nothing then.
bool TrainingRun::launch(int64_t count) {
  step_.keep_statistics();  // a hook may have loaded others
  const std::function<bool()> never;
  const auto step = [&] {
    const Batch& batch = batches_->next(step_.position());
    const bool can_interrupt = !is_on_device() && settings_.ranks == nullptr;  // the others would wait
    const InterruptScope interrupts(can_interrupt ? settings_.hooks.should_interrupt : never);
    step_.run(batch);
  };
  for (int64_t i = 0; i < count; ++i) {
    if (graph_) {
      graph_->replay();
      continue;
    }
    try {
      step();
    } catch (const Interrupted&) {
      step_.drop();
      return false;
    }
    // What is prepared at the first use is there now.
    if (is_on_device() && settings_.capture && !is_profile_pending()) {
      release_cached_memory(optimiser_.device());  // the graph has memory of its own, and needs as much
      graph_.emplace(optimiser_.device(), step);
    }
  }
  return true;
}

void TrainingRun::collect(int64_t count, double begin) {
  const std::vector<StepOutcome> outcomes = step_.outcomes(progress_.batch, count);
  const double seconds = (seconds_now() - begin) / static_cast<double>(count);
  recent_.push_back(seconds);
  if (recent_.size() > kRecent) recent_.pop_front();
  recent_seconds_ = median({recent_.begin(), recent_.end()});
  // The weights are already those after the last of these steps, and a hook may save them: the progress must
  // have come as far before the first hook is called.
  std::vector<StepReport> reports;
  std::optional<double> failed_loss;
  for (const StepOutcome& outcome : outcomes) {
    learning_rate_ = rates_[static_cast<size_t>(progress_.batch)];
    if (!outcome.is_finite) {
      failed_loss = outcome.loss;
      break;
    }
    note(outcome, seconds);
    reports.push_back(report(outcome.loss));
  }
  if (settings_.hooks.on_step) {
    for (const StepReport& step : reports) settings_.hooks.on_step(step);
  }
  if (failed_loss) fail(*failed_loss);
}

void TrainingRun::note(const StepOutcome& outcome, double seconds) {
  step_seconds_.push_back(seconds);
  ++steps_here_;
  progress_.loss_sum += outcome.loss;
  progress_.correct = outcome.correct;
  ++progress_.batch;
  ++progress_.step;
}

/// The step that is next by the progress had a loss or gradient that is not finite, and has changed no
/// weight and no running statistic: it is run again, to see where that arises.
void TrainingRun::fail(double loss) {
  const Batch& batch = batches_->at(progress_.batch);
  NonFiniteCause cause;
  try {
    if (std::isfinite(loss)) {
      step_.repeat(batch, /*with_gradients=*/true);
      const std::string statistic = non_finite_weight(model_), parameter = optimiser_.non_finite_gradient();
      if (!statistic.empty()) {
        cause = {statistic, kCommonPlace, "a running statistic is not finite"};
      } else if (!parameter.empty()) {
        cause = {str("parameter ", parameter, " is the nearest to the loss of those concerned"),
                 kGradientPlace, "a gradient is not finite"};
      } else {
        cause = {"another pass gave finite ones; is their sum over ranks too large, or the memory faulty?",
                 kNoPlace, "a gradient is not finite"};
      }
    } else {
      cause = explain_non_finite(model_, [&] { step_.repeat(batch, /*with_gradients=*/false); });
      cause.what = str("the loss is ", loss);
    }
    cause = first_of_ranks(settings_.ranks, cause);
  } catch (...) {
    step_.undo_statistics();
    throw;
  }
  step_.undo_statistics();
  throw DivergedError(str("train: ", cause.what, " at step ", progress_.step + 1, " (epoch ",
                          progress_.epoch + 1, ", learning rate ", learning_rate_, "): ", cause.sentence,
                          "; lower the learning rate, lengthen the warm-up, or look at the data"));
}

/// The report of the step that was noted last.
StepReport TrainingRun::report(double loss) const {
  const int64_t all_steps = settings_.epochs * per_epoch_;
  return {
      .step = progress_.step,
      .steps = settings_.max_steps > 0 ? std::min(settings_.max_steps, all_steps) : all_steps,
      .epoch = progress_.epoch + 1,
      .epochs = settings_.epochs,
      .batch = progress_.batch,
      .batches = per_epoch_,
      .loss = loss,
      .epoch_loss = mean_of(progress_.loss_sum, progress_.batch),
      .epoch_accuracy =
          mean_of(static_cast<double>(progress_.correct), progress_.batch * progress_.batch_size),
      .learning_rate = learning_rate_,
      .images_per_second = static_cast<double>(progress_.batch_size) / recent_seconds_,
  };
}

bool TrainingRun::is_best(const std::optional<Evaluation>& evaluation) const {
  return evaluation && evaluation->is_finite() &&
         (progress_.best_epoch == 0 || evaluation->accuracy > progress_.best_accuracy);
}

void TrainingRun::finish_epoch(const std::optional<Evaluation>& evaluation) {
  const bool is_best_epoch = is_best(evaluation);
  progress_.train_loss = mean_of(progress_.loss_sum, per_epoch_);
  progress_.train_accuracy =
      mean_of(static_cast<double>(progress_.correct), per_epoch_ * progress_.batch_size);
  progress_.evaluation = evaluation;
  ++progress_.epoch;
  progress_.batch = 0;
  progress_.loss_sum = 0;
  progress_.correct = 0;
  if (is_best_epoch) {
    progress_.best_accuracy = evaluation->accuracy;
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
      .evaluation = evaluation,
      .is_best = is_best_epoch,
  });
}

double TrainingRun::median_seconds(size_t first_step) const {
  return median({step_seconds_.begin() + static_cast<std::ptrdiff_t>(first_step), step_seconds_.end()});
}

double TrainingRun::step_seconds() const {
  return progress_.batch > 0 ? median_seconds(epoch_begin_) : 0;
}

double TrainingRun::images_per_second(size_t first_step) const {
  const double seconds = median_seconds(first_step);
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
  result.learning_rate = learning_rate_;
  result.images_per_second = images_per_second(0);
  result.evaluation = progress_.evaluation;
  result.best_accuracy = progress_.best_accuracy;
  result.best_epoch = progress_.best_epoch;
  return result;
}

}  // namespace fovea
