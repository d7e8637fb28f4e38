#include "recorder.h"

#include "signals.h"

namespace fovea::cli {

Recorder::Recorder(const Settings& settings, const RunFolder& folder, Classifier& classifier,
                   const CheckpointTimes& before, const TrainingProgress& progress)
    : settings_(settings),
      folder_(folder),
      classifier_(classifier),
      before_(before),
      times_(folder.times()),
      log_(folder.metrics_log()),
      tensorboard_(folder.path(), settings, progress),
      images_per_second_(before.images_per_second) {}

TrainingHooks Recorder::hooks() {
  return {.on_step = [this](const StepReport& report) { on_step(report); },
          .on_epoch = [this](const EpochReport& report) { on_epoch(report); },
          .on_evaluation = [this](int64_t done,
                                  int64_t total) { progress_.count("validating", "images", done, total); },
          .should_stop = should_stop,
          .should_interrupt = should_stop};
}

CheckpointTimes Recorder::times() const {
  const Checkpoint checkpoint = classifier_.checkpoint();
  const std::chrono::duration<double> here = std::chrono::steady_clock::now() - begin_;
  return {.step = checkpoint.progress.step,
          .epoch = checkpoint.progress.epoch,
          .seconds = before_.seconds + here.count(),
          .step_seconds = checkpoint.step_seconds,
          .images_per_second = images_per_second_};
}

// Only whole epochs count as best: a run that is resumed must go on as one without the pause, which is not
// evaluated here. The row of the part goes when it is resumed.
void Recorder::finish(const TrainingResult& result) {
  if (result.images_per_second > 0) images_per_second_ = result.images_per_second;
  save_last();
  const CheckpointTimes now = times();
  const bool has_part = classifier_.checkpoint().progress.batch > 0;  // of an epoch
  if (result.reason != StopReason::max_steps || !has_part) return;
  const double images = static_cast<double>(classifier_.checkpoint().progress.batch_size);
  append({.epoch = result.epochs + 1,
          .step = result.steps,
          .learning_rate = result.learning_rate,
          .train_loss = result.train_loss,
          .train_accuracy = result.train_accuracy,
          .validation = result.evaluation,
          .images_per_second = now.step_seconds > 0 ? images / now.step_seconds : 0,
          .seconds = now.seconds});
}

void Recorder::on_step(const StepReport& report) {
  images_per_second_ = report.images_per_second;
  progress_.step(report, settings_.training.batch_size);
  if (settings_.log_every > 0 && report.step % settings_.log_every == 0) {
    log_.step(report);
    tensorboard_.step(report);
  }
  if (settings_.save_every > 0 && report.step % settings_.save_every == 0) save_last();
}

// The row comes before the checkpoint: a run that is cut off in between drops the row when it is resumed.
void Recorder::on_epoch(const EpochReport& report) {
  progress_.epoch(report);
  make_logs_durable();
  if (report.is_best) classifier_.save(folder_.best());
  append({.epoch = report.epoch,
          .step = report.step,
          .learning_rate = report.learning_rate,
          .train_loss = report.train_loss,
          .train_accuracy = report.train_accuracy,
          .validation = report.evaluation,
          .images_per_second = report.images_per_second,
          .seconds = times().seconds});
  save_last();
}

void Recorder::append(const MetricsRow& row) {
  folder_.append(row);
  log_.epoch(row);
  tensorboard_.epoch(row);
}

void Recorder::make_logs_durable() {
  log_.make_durable();
  tensorboard_.make_durable();
}

void Recorder::save_last() {
  make_logs_durable();
  times_.write(times());
  classifier_.save(folder_.last());
}

}  // namespace fovea::cli
