// Runs that several ranks share end with the bytes of one process, and go on with another number of ranks.
#include <algorithm>
#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <vector>

#include "fovea/core/check.h"
#include "fovea/data/loader.h"
#include "fovea/kernels/arithmetic.h"
#include "fovea/layers/functional.h"
#include "op_test.h"
#include "temporary_folder.h"
#include "thread_ranks.h"
#include "tiny_classifier.h"

namespace fovea {
namespace {

const ImageSet kTrain = test::tiny_images(67, 1), kEvaluationSet = test::tiny_images(13, 2);
constexpr int64_t kSteps = 12;  // three epochs of four batches

TrainingSettings settings_of(OptimiserKind kind) {
  TrainingSettings settings = test::tiny_settings(kind);
  settings.batch_size = 16;
  return settings;
}

struct Run {
  std::string bytes;  // of the checkpoint
  double loss, accuracy, train_accuracy;
  friend bool operator==(const Run&, const Run&) = default;
};

Run run(TrainingSettings settings, const Checkpoint* from, Ranks* ranks) {
  const TemporaryFolder folder;
  Classifier classifier = test::tiny_classifier(from == nullptr ? 1 : 99);
  settings.resume = from;
  settings.ranks = ranks;
  const TrainingResult result = classifier.train(kTrain, settings, &kEvaluationSet);
  Checkpoint checkpoint = classifier.checkpoint();
  checkpoint.step_seconds = 0;
  write_checkpoint(folder / "end", checkpoint);
  return {file_bytes(folder / "end"), result.evaluation ? result.evaluation->loss : 0,
          result.evaluation ? result.evaluation->accuracy : 0, result.train_accuracy};
}

std::vector<Run> runs_on(int size, const TrainingSettings& settings, const Checkpoint* from = nullptr) {
  std::vector<Run> found(static_cast<size_t>(size));
  test::ThreadRanks::run(
      size, [&](Ranks& ranks) { found[static_cast<size_t>(ranks.rank())] = run(settings, from, &ranks); });
  return found;
}

}  // namespace

TEST_CASE("data_parallel: 1, 2, 4 and 8 ranks end with the bytes of one process") {
  for (const OptimiserKind kind : {OptimiserKind::sgd, OptimiserKind::adamw, OptimiserKind::muon}) {
    const TrainingSettings settings = settings_of(kind);
    const Run wanted = run(settings, nullptr, nullptr);
    for (const int size : {1, 2, 4, 8}) {
      INFO(name_of(kind) << ", " << size << " ranks");
      for (const Run& found : runs_on(size, settings)) CHECK(found == wanted);
    }
  }
}

/// Numbers of images that are not 0 become infinite.
struct Overflowing : Model {
  Overflowing() : Overflowing(Rng(1)) {}
  explicit Overflowing(Rng rng) : linear(3, test::kTinyClasses, rng) {}
  Variable forward(const Variable& x) override {
    return linear.forward(F::global_average(F::scale(F::scale(x, 1e30), 1e30)));
  }
  void visit(Visitor& v) override { v("linear", linear); }
  Linear linear;
};

TEST_CASE("data_parallel: of a divergence all ranks tell where it began, in whose share that was") {
  ImageSet images = test::tiny_images(16, 1);
  images.images.fill_with_zeros();
  images.images.data<uint8_t>()[9 * 8 * 8 * 3] = 200;  // in one image
  TrainingSettings settings = test::tiny_settings();
  settings.batch_size = 16;
  settings.augmentation.reset();
  std::vector<std::string> errors(4);
  test::ThreadRanks::run(4, [&](Ranks& ranks) {
    Classifier classifier(std::make_unique<Overflowing>(), {{0, 0, 0}, {1, 1, 1}}, {});
    TrainingSettings own = settings;
    own.ranks = &ranks;
    try {
      classifier.train(images, own);
    } catch (const DivergedError& error) {
      errors[static_cast<size_t>(ranks.rank())] = error.what();
    }
  });
  LoaderSettings order{.batch_size = 16, .seed = settings.seed};
  const std::vector<int64_t> places = epoch_order(16, order, 0);
  const auto place = std::find(places.begin(), places.end(), 9) - places.begin();
  CHECK_THAT(errors[0], Catch::Contains("operation scale") &&
                            Catch::Contains(str("(in the share of rank ", place / 4, ")")));
  for (const std::string& error : errors) CHECK(error == errors[0]);
}

TEST_CASE("data_parallel: numbers that do not divide eight end near one process, the same each time") {
  for (const OptimiserKind kind : {OptimiserKind::sgd, OptimiserKind::muon}) {
    TrainingSettings settings = settings_of(kind);
    settings.batch_size = 48;
    settings.schedule.learning_rate = 0.01;
    const Run wanted = run(settings, nullptr, nullptr);
    for (const int size : {3, 6, 16}) {
      INFO(name_of(kind) << ", " << size << " ranks");
      const std::vector<Run> found = runs_on(size, settings);
      for (const Run& other : found) CHECK(other == found[0]);
      CHECK(runs_on(size, settings)[0] == found[0]);
      CHECK(found[0].loss == Approx(wanted.loss).epsilon(1e-4));
    }
  }
}

TEST_CASE("data_parallel: goes on with another number of ranks") {
  const TrainingSettings settings = settings_of(OptimiserKind::muon);
  const Run wanted = run(settings, nullptr, nullptr);
  const int sizes[] = {2, 4, 1, 8};
  for (int64_t step = 1; step < kSteps; step += 3) {
    TrainingSettings first = settings, second = settings;
    first.max_steps = step;
    const TemporaryFolder folder;
    const int size = sizes[step / 3], other = sizes[(step / 3 + 1) % 4];
    INFO(step << " steps with " << size << " ranks, then " << other);
    test::ThreadRanks::run(size, [&](Ranks& ranks) {
      Classifier classifier = test::tiny_classifier(1);
      TrainingSettings own = first;
      own.ranks = &ranks;
      classifier.train(kTrain, own, &kEvaluationSet);
      if (ranks.rank() == 0) classifier.save(folder / "stopped");
    });
    const Checkpoint checkpoint = read_checkpoint(folder / "stopped");
    for (const Run& found : runs_on(other, second, &checkpoint)) CHECK(found == wanted);
  }
}

TEST_CASE("data_parallel: a rank that is asked to stop stops all after the same step") {
  const TrainingSettings settings = settings_of(OptimiserKind::sgd);
  std::vector<int64_t> steps(4);
  std::vector<StopReason> reasons(4);
  test::ThreadRanks::run(4, [&](Ranks& ranks) {
    Classifier classifier = test::tiny_classifier(1);
    TrainingSettings own = settings;
    own.ranks = &ranks;
    int64_t done = 0;
    own.hooks.on_step = [&](const StepReport& report) { done = report.step; };
    if (ranks.rank() == 2) own.hooks.should_stop = [&] { return done >= 5; };
    const TrainingResult result = classifier.train(kTrain, own, &kEvaluationSet);
    reasons[static_cast<size_t>(ranks.rank())] = result.reason;
    steps[static_cast<size_t>(ranks.rank())] = result.steps;
  });
  CHECK(steps == std::vector<int64_t>(4, 5));
  CHECK(reasons == std::vector<StopReason>(4, StopReason::stopped));
}

TEST_CASE("data_parallel: statistics of each share alone are another network, the same on all ranks") {
  TrainingSettings settings = settings_of(OptimiserKind::sgd);
  const Run joined = run(settings, nullptr, nullptr);
  settings.sync_norm = false;
  const std::vector<Run> found = runs_on(2, settings);
  CHECK(found[0] == found[1]);
  CHECK(found[0].bytes != joined.bytes);
  CHECK(runs_on(2, settings) == found);
}

TEST_CASE("data_parallel: a batch that the ranks cannot share is refused") {
  TrainingSettings settings = settings_of(OptimiserKind::sgd);
  settings.batch_size = 12;
  std::vector<std::string> errors(2);
  test::ThreadRanks::run(2, [&](Ranks& ranks) {
    try {
      run(settings, nullptr, &ranks);
    } catch (const UsageError& error) {
      errors[static_cast<size_t>(ranks.rank())] = error.what();
    }
  });
  for (const std::string& error : errors) {
    CHECK(error == "train: a batch of 12 images for 2 ranks, wanted a multiple of 8");
  }
}

}  // namespace fovea
