// What a run reports about time: a pause, of the process or between two parts of a run, spoils neither the
// speed of an epoch nor what is left.
#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <memory>
#include <thread>

#include "tiny_classifier.h"

namespace fovea {
namespace {

constexpr double kPause = 1;  // seconds

/// A tiny model whose `at`-th training step is interrupted, as by Ctrl-Z or a computer that sleeps.
struct PausedModel : test::TinyModel {
  explicit PausedModel(int at_) : TinyModel(1), at(at_) {}

  Variable forward(const Variable& x) override {
    if (is_training() && ++steps == at) std::this_thread::sleep_for(std::chrono::duration<double>(kPause));
    return TinyModel::forward(x);
  }

  int at, steps = 0;
};

Classifier classifier_of(std::unique_ptr<Model> model) {
  return Classifier(std::move(model), {{0.45f, 0.45f, 0.45f}, {0.25f, 0.25f, 0.25f}});
}

}  // namespace

TEST_CASE("training_times: a pause within a step does not change how fast the run is said to be") {
  const int at = GENERATE(1, 6);
  INFO("in step " << at);
  Classifier classifier = classifier_of(std::make_unique<PausedModel>(at));
  TrainingSettings settings = test::tiny_settings();
  double slowest = 1e9;
  settings.hooks.on_step = [&](const StepReport& report) {
    if (report.step >= 3) slowest = std::min(slowest, report.images_per_second);
  };
  classifier.train(test::tiny_images(35, 1), settings);
  // A tenth of the pause a step would be this. The steps take a thousandth.
  CHECK(slowest > static_cast<double>(settings.batch_size) / (0.1 * kPause));
}

TEST_CASE("training_times: an epoch that is resumed after its last step reports as without the pause") {
  const ImageSet images = test::tiny_images(35, 1), evaluation_set = test::tiny_images(16, 2);
  TrainingSettings settings = test::tiny_settings();
  settings.epochs = 2;
  std::vector<EpochReport> whole, resumed;
  settings.hooks.on_epoch = [&](const EpochReport& report) { whole.push_back(report); };
  test::tiny_classifier(1).train(images, settings, &evaluation_set);

  for (const int64_t paused_after : {4, 8, 6}) {  // steps, of four an epoch
    INFO(paused_after);
    Classifier first = test::tiny_classifier(1);
    bool is_paused = false;
    settings.resume = nullptr;
    settings.hooks = {.on_step = [&](const StepReport& report) { is_paused = report.step == paused_after; },
                      .should_stop = [&] { return is_paused; }};
    CHECK(first.train(images, settings, &evaluation_set).reason == StopReason::stopped);
    const Checkpoint checkpoint = first.checkpoint();
    CHECK(checkpoint.progress.step == paused_after);
    CHECK(checkpoint.step_seconds > 0);

    Classifier second = test::tiny_classifier(2);
    settings.resume = &checkpoint;
    resumed.clear();
    settings.hooks = {.on_epoch = [&](const EpochReport& report) { resumed.push_back(report); }};
    const TrainingResult result = second.train(images, settings, &evaluation_set);
    CHECK(result.images_per_second > 0);
    CHECK(result.learning_rate == whole.back().learning_rate);
    REQUIRE(resumed.size() == (paused_after == 4 ? 2 : 1));
    for (size_t i = 0; i < resumed.size(); ++i) {
      const EpochReport& wanted = whole[whole.size() - resumed.size() + i];
      CHECK(resumed[i].learning_rate == wanted.learning_rate);
      CHECK(resumed[i].train_loss == wanted.train_loss);
      CHECK(resumed[i].images_per_second > 0);
    }
    if (paused_after != 6) {
      CHECK(resumed[0].images_per_second ==
            Approx(static_cast<double>(settings.batch_size) / checkpoint.step_seconds));
    }
  }
}

TEST_CASE("training_times: what was measured before a pause counts by its number of steps") {
  const ImageSet images = test::tiny_images(8 * 9, 1);
  TrainingSettings settings = test::tiny_settings();
  settings.epochs = 1;
  settings.max_steps = 5;
  Classifier first = test::tiny_classifier(1);
  first.train(images, settings);
  Checkpoint checkpoint = first.checkpoint();
  checkpoint.step_seconds = 1000;  // of five of the nine steps: the middle one is among them
  settings.max_steps = 0;
  settings.resume = &checkpoint;
  double speed = 0;
  settings.hooks.on_epoch = [&](const EpochReport& report) { speed = report.images_per_second; };
  first.train(images, settings);
  CHECK(speed == Approx(static_cast<double>(settings.batch_size) / 1000));
  checkpoint.step_seconds = 0;  // unknown: the four steps alone
  first.train(images, settings);
  CHECK(speed > static_cast<double>(settings.batch_size) / 10);
}

}  // namespace fovea
