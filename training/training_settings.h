#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "fovea/core/profile_report.h"
#include "fovea/core/ranks.h"
#include "fovea/core/settings_fields.h"
#include "fovea/data/augment.h"
#include "fovea/training/checkpoint.h"
#include "fovea/training/metrics.h"
#include "fovea/training/optimiser.h"
#include "fovea/training/precision.h"
#include "fovea/training/schedule.h"

#pragma GCC visibility push(default)
namespace fovea {

/// After a training step. Counts begin at 1. On a CUDA device several steps are launched at once, and
/// reported one after the other when all of them are done: a checkpoint that on_step saves has the state
/// after the last of them; TrainingSettings::exact_every is for a checkpoint of a certain step.
struct StepReport {
  int64_t step, steps;       // done, and planned for the whole run (epochs and max_steps considered)
  int64_t epoch, epochs;     // under way, planned
  int64_t batch, batches;    // done in this epoch, planned in it
  double loss;               // of this batch
  double epoch_loss;         // mean of this epoch so far
  double epoch_accuracy;     // of this epoch so far, on the augmented images before each update
  double learning_rate;      // of this step
  double images_per_second;  // by the median of the last steps of this process, loading included
};

/// After an epoch and its evaluation.
struct EpochReport {
  int64_t epoch, epochs;  // done, planned
  int64_t step;           // done
  double train_loss;
  double train_accuracy;
  double learning_rate;      // of the last step
  double images_per_second;  // median over the epoch's steps, loading included; 0: no step was measured
  std::optional<Evaluation> evaluation;  // none without an evaluation set
  bool is_best;  // the best accuracy on the evaluation set so far; never of an evaluation that is not finite
};

/// What to tell about while it goes on, and when to stop. Called on the thread that called train. They may
/// evaluate, save and load the classifier (`load`: the run goes on with those weights), but not train it.
struct TrainingHooks {
  std::function<void(const StepReport&)> on_step{};
  std::function<void(const EpochReport&)> on_epoch{};
  std::function<void(int64_t done, int64_t total)> on_evaluation{};  // images of this rank, after each batch
  /// Polled before every batch, on a CUDA device before those that are launched at once; ends train.
  std::function<bool()> should_stop{};
  /// On the CPU asked between the operations of forward and backward passes as well, for steps that take too
  /// long to be waited for: drops the step (or the batch of the evaluation) that is under way, as if it had
  /// not begun, and ends train. Asked often, it must do nothing but answer. Of several ranks none drops a
  /// step, for which the others wait.
  std::function<bool()> should_interrupt{};
  std::function<void(const Profile&)> on_profile{};  // once; of fewer steps where the run ends before
};

/// What shapes a training run, and what is told about it.
struct TrainingSettings {
  int64_t epochs = 10;
  int64_t max_steps = 0;     // 0: no limit. The run ends there; the schedule does not look at it
  int64_t batch_size = 128;  // a set that is smaller is one batch
  Ranks* ranks = nullptr;    // which train together, each with its share of a batch; null: this process alone
  bool sync_norm = true;     // statistics of batch norms over all ranks, instead of over each share
  int64_t accumulation = 1;  // parts of a batch, one after the other: less memory, statistics of fewer images
  double label_smoothing = 0;  // see F::softmax_cross_entropy
  double ema_decay = 0;        // of the averages of weights and statistics, see AveragedWeights; 0: none
  OptimiserSettings optimiser{};
  ScheduleSettings schedule{};
  std::optional<Augmentation> augmentation = Augmentation{};
  Precision precision = Precision::f32;
  uint64_t seed = 1;  // of shuffling and augmentation
  int64_t evaluation_batch_size = 256;
  bool capture = true;          // on a CUDA device: record a step once and replay it
  double report_seconds = 0.1;  // on a CUDA device: what the steps launched at once take together, about
  int64_t exact_every = 0;    // on_step sees exactly the state after every step that is a multiple; 0: never
  int64_t profile_steps = 0;  // how many are profiled, after two that prepare; 0: none
  const Checkpoint* resume = nullptr;  // go on from there, bit for bit
  TrainingHooks hooks{};

  template <class V>
  void visit(V&& v) {
    v("epochs", epochs, {.help = "passes over the training images; 0: as max-steps says", .most = 1e6});
    v("max_steps", max_steps,
      {.help = "end after N steps; 0: as epochs says", .most = 1e12, .shapes_result = false});
    v("batch_size", batch_size, {.help = "images in a step", .least = 1, .most = 65536});
    v("accumulation", accumulation,
      {.help =
           "parts in which a step's images are computed, and their gradients added, in the precision: less "
           "memory",
       .least = 1,
       .most = 65536});
    v("sync_norm", sync_norm,
      {.help =
           "of several ranks: batch norms take their statistics over all of them, so that the result does "
           "not depend on how many there are"});
    v("optimiser", optimiser, {});
    v("schedule", schedule, {});
    v("label_smoothing", label_smoothing,
      {.help = "part of a label that is spread over all classes", .most = 1, .below_most = true});
    v("ema_decay", ema_decay,
      {.help = "decay of a moving average of the weights, which is then evaluated and saved; 0: none",
       .most = 1,
       .below_most = true});
    v("augmentation", augmentation, {});
    v("seed", seed, {.help = "of the initial values, the order and the augmentation"});
    v("precision", precision, {.help = "type of the activations; tf32 and f16 need a CUDA device"});
    v("evaluation_batch_size", evaluation_batch_size, {.least = 1, .flag = ""});
    v("capture", capture, {.flag = "", .shapes_result = false});
    v("report_seconds", report_seconds, {.flag = "", .shapes_result = false});
    v("exact_every", exact_every, {.flag = "", .shapes_result = false});
    v("profile_steps", profile_steps, {.flag = "", .shapes_result = false});
  }
};

/// UsageError that names the setting if one makes no sense.
void check_settings(const TrainingSettings& settings);
/// The settings that shape the numbers, as texts under keys such as "optimiser.momentum".
std::map<std::string, std::string> describe(const TrainingSettings& settings);

/// Why a training run ended: all epochs done, max_steps reached, or should_stop or should_interrupt.
enum class StopReason { finished, max_steps, stopped };

/// What came of a training run.
struct TrainingResult {
  StopReason reason = StopReason::finished;
  int64_t steps = 0;      // done in all, those before resuming included
  int64_t epochs = 0;     // done in all
  double train_loss = 0;  // of the last epoch, or of the part of it that was done
  double train_accuracy = 0;
  double learning_rate = 0;      // of the last step; 0: none in this process or epoch
  double images_per_second = 0;  // median over this process' steps and those of the epoch it went on with
  double seconds = 0;            // in train, everything included
  std::optional<Evaluation> evaluation;  // at the end; none without an evaluation set or if stopped before
  double best_accuracy = 0;              // over the epochs done; 0 without an evaluation set
  int64_t best_epoch = 0;                // 1, 2, ...; 0: none
};

/// How images are gone through, and what is told about it.
struct EvaluationSettings {
  int64_t batch_size = 256;
  bool flip_average = false;  // by the mean logits of an image and its mirror image; of evaluate alone
  std::function<void(int64_t done, int64_t total)> on_batch{};  // images
  /// Before on_batch, the logits [n, classes] of images first, first + 1, ...; of Classifier::evaluate alone.
  std::function<void(int64_t first, const Tensor& logits)> on_logits{};
  std::function<bool()> should_stop{};       // polled before every batch
  std::function<bool()> should_interrupt{};  // on the CPU within a batch: drops it and stops
  Ranks* ranks = nullptr;                    // which share the batches; null: this process has all of them
};

}  // namespace fovea
#pragma GCC visibility pop
