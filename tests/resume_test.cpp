// A run that is stopped anywhere and resumed ends with the same bytes as one that was not.
#include <catch2/catch.hpp>

#include "fovea/core/check.h"
#include "fovea/core/parallel_for.h"
#include "fovea/kernels/arithmetic.h"
#include "fovea/kernels/conv_choices.h"
#include "op_test.h"
#include "temporary_folder.h"
#include "tiny_classifier.h"

namespace fovea {
namespace {

const ImageSet kTrain = test::tiny_images(35, 1), kEvaluationSet = test::tiny_images(13, 2);
constexpr int64_t kSteps = 12;  // three epochs of four batches

TrainingSettings settings_of(OptimiserKind kind) {
  TrainingSettings settings = test::tiny_settings(kind);
  if (kind == OptimiserKind::muon) settings.accumulation = 3;
  return settings;
}

/// The bytes of the checkpoint at the end of a run that is not stopped.
std::string straight_run(const TrainingSettings& settings) {
  const TemporaryFolder folder;
  Classifier classifier = test::tiny_classifier(1);
  const TrainingResult result = classifier.train(kTrain, settings, &kEvaluationSet);
  REQUIRE(result.reason == StopReason::finished);
  REQUIRE(result.steps == kSteps);
  classifier.save(folder / "end");
  return file_bytes(folder / "end");
}

/// Goes on from a file with a new classifier, whose initial weights are others, up to the end.
std::string resumed_run(const std::string& path, TrainingSettings settings) {
  Classifier classifier = test::tiny_classifier(99);
  const Checkpoint checkpoint = read_checkpoint(path);
  settings.resume = &checkpoint;
  settings.max_steps = 0;
  settings.hooks = {};
  const TrainingResult result = classifier.train(kTrain, settings, &kEvaluationSet);
  CHECK(result.reason == StopReason::finished);
  CHECK(result.steps == kSteps);
  CHECK(result.epochs == 3);
  CHECK(result.evaluation.has_value());
  classifier.save(path);
  return file_bytes(path);
}

TEST_CASE("resume: from any step at which max_steps ended the run") {
  const TemporaryFolder folder;
  const OptimiserKind kind = GENERATE(OptimiserKind::sgd, OptimiserKind::adamw, OptimiserKind::muon);
  TrainingSettings settings = settings_of(kind);
  const std::string wanted = straight_run(settings);
  for (settings.max_steps = 1; settings.max_steps <= kSteps; ++settings.max_steps) {
    INFO(settings.max_steps);
    Classifier classifier = test::tiny_classifier(1);
    const TrainingResult result = classifier.train(kTrain, settings, &kEvaluationSet);
    CHECK(result.steps == settings.max_steps);
    CHECK((result.reason == StopReason::max_steps) == (settings.max_steps < kSteps));
    CHECK(result.evaluation.has_value());
    classifier.save(folder / "stopped");
    CHECK(resumed_run(folder / "stopped", settings) == wanted);
  }
}

TEST_CASE("resume: between the last step of an epoch and its end, its learning rate is reported") {
  const TemporaryFolder folder;
  TrainingSettings settings = settings_of(OptimiserKind::sgd);
  std::vector<double> rates[2];  // without a pause, and with one
  settings.hooks.on_epoch = [&](const EpochReport& report) { rates[0].push_back(report.learning_rate); };
  Classifier straight = test::tiny_classifier(1);
  straight.train(kTrain, settings, &kEvaluationSet);
  settings.hooks.on_epoch = [&](const EpochReport& report) { rates[1].push_back(report.learning_rate); };

  Classifier classifier = test::tiny_classifier(1);
  bool is_stopping = false;
  settings.hooks.on_step = [&](const StepReport& report) { is_stopping = report.step == 8; };
  settings.hooks.should_stop = [&] { return is_stopping; };
  REQUIRE(classifier.train(kTrain, settings, &kEvaluationSet).reason == StopReason::stopped);
  classifier.save(folder / "stopped");
  const Checkpoint checkpoint = read_checkpoint(folder / "stopped");
  REQUIRE((checkpoint.progress.epoch == 1 && checkpoint.progress.batch == 4));
  settings.resume = &checkpoint;
  settings.hooks.should_stop = {};
  Classifier other = test::tiny_classifier(99);
  other.train(kTrain, settings, &kEvaluationSet);
  CHECK(rates[1] == rates[0]);
}

TEST_CASE("resume: from any moment at which a stop was asked for, evaluation included") {
  const TemporaryFolder folder;
  TrainingSettings settings = settings_of(GENERATE(OptimiserKind::sgd, OptimiserKind::muon));
  const std::string wanted = straight_run(settings);
  int64_t polls = 0, stop_at = 0;
  settings.hooks.should_stop = [&] { return polls++ == stop_at; };
  for (stop_at = 0;; ++stop_at) {
    INFO(stop_at);
    polls = 0;
    Classifier classifier = test::tiny_classifier(1);
    const TrainingResult result = classifier.train(kTrain, settings, &kEvaluationSet);
    if (result.reason == StopReason::finished) break;
    REQUIRE(result.reason == StopReason::stopped);
    classifier.save(folder / "stopped");
    CHECK(resumed_run(folder / "stopped", settings) == wanted);
  }
  CHECK(stop_at == kSteps + 3 * 3);  // before each batch of training and of evaluation
}

TEST_CASE("resume: from a checkpoint that a hook wrote, and again, and again") {
  const TemporaryFolder folder;
  TrainingSettings settings = settings_of(OptimiserKind::adamw);
  const std::string wanted = straight_run(settings);
  {
    Classifier classifier = test::tiny_classifier(1);
    settings.hooks.on_step = [&](const StepReport& report) {
      if (report.step == 4) classifier.save(folder / "step");  // before the evaluation of the first epoch
    };
    settings.hooks.on_epoch = [&](const EpochReport& report) {
      if (report.epoch == 2) classifier.save(folder / "epoch");
    };
    classifier.train(kTrain, settings, &kEvaluationSet);
  }
  CHECK(resumed_run(folder / "step", settings) == wanted);
  CHECK(resumed_run(folder / "epoch", settings) == wanted);

  std::filesystem::remove(folder / "step");
  settings.hooks = {};
  for (settings.max_steps = 3; settings.max_steps < kSteps; settings.max_steps += 3) {
    Classifier classifier = test::tiny_classifier(1);
    Checkpoint checkpoint;
    if (settings.max_steps > 3) checkpoint = read_checkpoint(folder / "again");
    settings.resume = settings.max_steps > 3 ? &checkpoint : nullptr;
    classifier.train(kTrain, settings, &kEvaluationSet);
    classifier.save(folder / "again");
  }
  CHECK(resumed_run(folder / "again", settings) == wanted);
  CHECK(resumed_run(folder / "again", settings) == wanted);  // a finished run stays as it is
}

TEST_CASE("resume: same final bytes with 1, 2 and 4 threads") {
  const NoGrain no_grain;  // or the small tensors would not be shared out
  const int threads_before = num_threads();
  const TrainingSettings settings = settings_of(OptimiserKind::sgd);
  set_num_threads(1);
  const std::string wanted = straight_run(settings);
  for (const int threads : {2, 4}) {
    set_num_threads(threads);
    CHECK(straight_run(settings) == wanted);
  }
  set_num_threads(threads_before);
}

/// A tiny model that stands for convolutions whose engines are chosen by measurement: what a machine chooses
/// shows in the bits.
struct MeasuredModel : test::TinyModel {
  using TinyModel::TinyModel;
  static inline std::string machine;

  Variable forward(const Variable& x) override {
    kernels::ConvChoicesScope* run = kernels::ConvChoicesScope::current();
    const std::string problem = is_training() ? "training" : "evaluation";
    std::string choice = run == nullptr ? "" : run->find("a library on a device", problem);
    if (choice.empty()) choice = machine;
    if (run != nullptr) run->note("a library on a device", problem, choice);
    const double factor = choice == "here" ? 1.0 : 1.001;
    const Variable y = TinyModel::forward(x);
    const auto scaled = [factor](const Tensor& from) {
      Tensor to = Tensor::empty_like(from);
      kernels::scale_forward(from, factor, to);
      return to;
    };
    return record("scale", scaled(y.value()), {y},
                  [scaled](const Tensor& dy) -> std::vector<Tensor> { return {scaled(dy)}; });
  }
};

/// The checkpoint of a run on a machine, from the beginning or from a file.
Checkpoint measured_run(const std::string& machine, const TrainingSettings& settings, const std::string& path,
                        const std::string& from = "") {
  MeasuredModel::machine = machine;
  Classifier classifier(std::make_unique<MeasuredModel>(/*seed=*/1), {});
  TrainingSettings with = settings;
  Checkpoint checkpoint;
  if (!from.empty()) {
    checkpoint = read_checkpoint(from);
    with.resume = &checkpoint;
  }
  classifier.train(kTrain, with, &kEvaluationSet);
  CHECK(kernels::ConvChoicesScope::current() == nullptr);
  classifier.save(path);
  return read_checkpoint(path);
}

TEST_CASE("resume: on another machine, convolutions are computed as the run has chosen") {
  const TemporaryFolder folder;
  TrainingSettings settings = settings_of(OptimiserKind::sgd);
  const Checkpoint wanted = measured_run("here", settings, folder / "straight");
  CHECK(wanted.convolutions.by_problem ==
        std::map<std::string, std::string>{{"evaluation", "here"}, {"training", "here"}});
  measured_run("there", settings, folder / "there");
  CHECK(file_bytes(folder / "there") != file_bytes(folder / "straight"));
  for (const int64_t steps : {5, 8, 11}) {
    INFO(steps);
    settings.max_steps = steps;
    measured_run("here", settings, folder / "stopped");
    settings.max_steps = 0;
    measured_run("there", settings, folder / "resumed", folder / "stopped");
    CHECK(file_bytes(folder / "resumed") == file_bytes(folder / "straight"));
  }
  // What was not chosen yet when the run stopped, the other machine chooses.
  int64_t polls = 0;
  settings.hooks.should_stop = [&] { return polls++ == 2; };
  measured_run("here", settings, folder / "stopped");
  settings.hooks = {};
  const Checkpoint resumed = measured_run("there", settings, folder / "resumed", folder / "stopped");
  CHECK(resumed.convolutions.by_problem ==
        std::map<std::string, std::string>{{"evaluation", "there"}, {"training", "here"}});
  for (size_t i = 0; i < wanted.model.size(); ++i) {
    CHECK(test::same_bits(resumed.model[i].tensor, wanted.model[i].tensor));
  }
}

TEST_CASE("resume: from a checkpoint that says nothing of convolutions") {
  const TemporaryFolder folder;
  TrainingSettings settings = settings_of(OptimiserKind::sgd);
  const Checkpoint wanted = measured_run("here", settings, folder / "straight");
  settings.max_steps = 5;
  measured_run("here", settings, folder / "stopped");
  SafetensorsFile file = read_safetensors(folder / "stopped");
  std::erase_if(file.metadata, [](const auto& entry) { return entry.first.starts_with("convolution"); });
  write_safetensors(folder / "old", file);
  settings.max_steps = 0;
  CHECK(read_checkpoint(folder / "old").convolutions == kernels::ConvChoices{});
  measured_run("here", settings, folder / "resumed", folder / "old");
  CHECK(file_bytes(folder / "resumed") == file_bytes(folder / "straight"));
  const Checkpoint there = measured_run("there", settings, folder / "resumed", folder / "old");
  CHECK(there.convolutions.by_problem.at("training") == "there");
}

TEST_CASE("resume: a checkpoint of another run is refused, and nothing changes") {
  const TemporaryFolder folder;
  TrainingSettings settings = settings_of(OptimiserKind::sgd);
  settings.max_steps = 2;
  Classifier classifier = test::tiny_classifier(1);
  classifier.train(kTrain, settings);
  classifier.save(folder / "a");
  const Checkpoint good = read_checkpoint(folder / "a");

  Classifier other = test::tiny_classifier(2);
  other.save(folder / "before");
  const auto check_refused = [&](const Checkpoint& checkpoint, TrainingSettings with, const ImageSet& data,
                                 const std::string& reason) {
    with.resume = &checkpoint;
    CHECK_THROWS_AS(other.train(data, with), CheckpointError);
    CHECK_THROWS_WITH(other.train(data, with), Catch::Contains(reason) && Catch::Contains(folder / "a"));
    other.save(folder / "after");
    CHECK(file_bytes(folder / "after") == file_bytes(folder / "before"));
  };
  TrainingSettings changed = settings;
  changed.batch_size = 7;
  check_refused(good, changed, kTrain, "the batch size is 8 in the checkpoint and 7 in this run");
  changed = settings;
  changed.seed = 8;
  check_refused(good, changed, kTrain, "the seed is 7 in the checkpoint and 8 in this run");
  changed = settings;
  changed.optimiser.kind = OptimiserKind::adamw;
  check_refused(good, changed, kTrain, "the optimiser is sgd in the checkpoint and adamw in this run");
  check_refused(good, settings, kTrain.first(34),
                "training images is 35 in the checkpoint and 34 in this run");

  Checkpoint bad = good;
  bad.optimiser.clear();
  check_refused(bad, settings, kTrain, "no state of an optimiser");
  bad = good;
  bad.model.pop_back();
  check_refused(bad, settings, kTrain, "1 tensor is missing (norm.running_variance)");
  bad = good;
  bad.optimiser.pop_back();
  check_refused(bad, settings, kTrain, "1 tensor is missing");
  bad = good;
  bad.progress.batch = 5;
  check_refused(bad, settings, kTrain, "batch 5 of an epoch of 4");
}

}  // namespace
}  // namespace fovea
