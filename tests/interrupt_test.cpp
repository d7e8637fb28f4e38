// A step that takes too long to be waited for is dropped between two layers: nothing of it is left.
#include "fovea/core/interrupt.h"

#include <catch2/catch.hpp>
#include <cstring>
#include <memory>

#include "fovea/core/check.h"
#include "fovea/layers/functional.h"
#include "tiny_classifier.h"

namespace fovea {
namespace {

constexpr int kLayers = 20;  // before the tiny model, and the same number behind it

/// A model of many layers that counts those which are done, forward and backward. The signal to stop comes
/// within the `at`-th of them.
struct DeepModel : test::TinyModel {
  DeepModel() : TinyModel(1) {}

  Variable layer(const Variable& x) {
    const Tensor y = x.value().clone();
    note();
    return record("layer", y, {x}, [this](const Tensor& dy) -> std::vector<Tensor> {
      note();
      return {dy};
    });
  }
  void note() {
    ++done;
    if (done >= at) is_stopping = true;
    if (is_stopping) ++done_after_signal;
  }

  Variable forward(const Variable& x) override {
    Variable y = stem.forward(x);
    for (int i = 0; i < kLayers; ++i) y = layer(y);
    y = linear.forward(F::global_average(norm.forward_relu(unit.forward(y))));
    for (int i = 0; i < kLayers; ++i) y = layer(y);
    return y;
  }

  int at = 1 << 30, done = 0, done_after_signal = 0;
  bool is_stopping = false;
};

struct Trained {
  explicit Trained(TrainingSettings settings_ = test::tiny_settings()) : settings(settings_) {
    auto owned = std::make_unique<DeepModel>();
    model = owned.get();
    classifier.emplace(std::move(owned), ImageNormalisation{{0.45f, 0.45f, 0.45f}, {0.25f, 0.25f, 0.25f}});
    settings.hooks.should_interrupt = [this] { return model->is_stopping; };
  }
  TrainingResult train(const ImageSet* evaluation_set = nullptr) {
    return classifier->train(test::tiny_images(35, 1), settings, evaluation_set);
  }

  TrainingSettings settings;
  DeepModel* model;
  std::optional<Classifier> classifier;
};

void check_same(const std::vector<NamedTensor>& found, const std::vector<NamedTensor>& wanted) {
  REQUIRE(found.size() == wanted.size());
  for (size_t i = 0; i < found.size(); ++i) {
    INFO(found[i].name);
    REQUIRE(found[i].tensor.bytes() == wanted[i].tensor.bytes());
    CHECK(std::memcmp(found[i].tensor.raw(), wanted[i].tensor.raw(), wanted[i].tensor.bytes()) == 0);
  }
}

}  // namespace

TEST_CASE("interrupt: a pass ends at the next operation, forward and backward, in the innermost scope") {
  const Variable x(Tensor::full({4}, 1), true);
  bool is_wanted = false;
  int asked = 0;
  const std::function<bool()> question = [&] { return ++asked, is_wanted; }, never;
  const InterruptScope scope(question);
  Variable y = F::relu(F::relu(x));
  CHECK(asked == 2);
  {
    const InterruptScope inner(never);
    is_wanted = true;
    CHECK_NOTHROW(F::relu(y));
  }
  CHECK(asked == 2);
  CHECK_THROWS_AS(F::relu(y), Interrupted);
  const Variable loss = [&] {
    is_wanted = false;
    return F::scale(y, 2);
  }();
  asked = 0;
  is_wanted = true;
  CHECK_THROWS_AS(loss.backward(Tensor::full({4}, 1)), Interrupted);
  CHECK(asked == 1);
  CHECK_FALSE(x.grad().defined());
}

TEST_CASE("interrupt: a step is dropped within a layer of the signal, and the run resumes bit for bit") {
  Trained whole;
  whole.train();
  const int per_step = 4 * kLayers;
  CHECK(whole.model->done == 12 * per_step);
  CHECK(whole.model->done_after_signal == 0);

  // In the forward pass, in the backward pass, each before and behind the running statistics; first step,
  // last.
  for (const int at : {1, kLayers + 5, 2 * kLayers + 5, 5 * per_step + 7, 5 * per_step + kLayers + 1,
                       5 * per_step + 3 * kLayers + 3, 12 * per_step}) {
    INFO(at);
    const int steps = (at - 1) / per_step;
    TrainingSettings until = test::tiny_settings();
    until.max_steps = steps;
    Trained before(until);
    if (steps > 0) before.train();

    Trained run;
    run.model->at = at;
    const TrainingResult result = run.train();
    CHECK(result.reason == StopReason::stopped);
    CHECK(result.steps == steps);
    CHECK(run.model->done_after_signal == 1);  // the one in which it came
    const Checkpoint checkpoint = run.classifier->checkpoint();
    check_same(checkpoint.model, before.classifier->checkpoint().model);
    if (steps > 0) {
      check_same(checkpoint.optimiser, before.classifier->checkpoint().optimiser);
      CHECK(checkpoint.progress.loss_sum == before.classifier->checkpoint().progress.loss_sum);
      CHECK(checkpoint.progress.correct == before.classifier->checkpoint().progress.correct);
    }

    Trained resumed;
    resumed.settings.resume = &checkpoint;
    CHECK(resumed.train().reason == StopReason::finished);
    check_same(resumed.classifier->checkpoint().model, whole.classifier->checkpoint().model);
    check_same(resumed.classifier->checkpoint().optimiser, whole.classifier->checkpoint().optimiser);
    // The same classifier, too, can be trained again.
    run.model->is_stopping = false;
    run.model->at = 1 << 30;
    run.settings.resume = &checkpoint;
    run.train();
    check_same(run.classifier->checkpoint().model, whole.classifier->checkpoint().model);
  }
}

TEST_CASE("interrupt: an evaluation drops the batch that is under way") {
  const ImageSet images = test::tiny_images(20, 3);
  Trained run;
  const Evaluation all = run.classifier->evaluate(images.first(12), {.batch_size = 6});
  const int per_batch = 2 * kLayers;
  std::vector<int64_t> seen;
  const EvaluationSettings settings{.batch_size = 6,
                                    .on_batch = [&](int64_t done, int64_t) { seen.push_back(done); },
                                    .should_interrupt = run.settings.hooks.should_interrupt};
  const auto signal_in_third = [&] {
    run.model->is_stopping = false;
    run.model->done_after_signal = 0;
    run.model->at = run.model->done + 2 * per_batch + 3;
  };
  signal_in_third();
  const Evaluation evaluation = run.classifier->evaluate(images, settings);
  CHECK(evaluation.images == 12);
  CHECK(evaluation.loss == all.loss);
  CHECK(evaluation.accuracy == all.accuracy);
  CHECK(seen == std::vector<int64_t>{6, 12});
  CHECK(run.model->done_after_signal == 1);
  signal_in_third();
  CHECK(run.classifier->predict_probabilities(images.images, settings).shape() == Shape{12, 3});
  CHECK(run.model->done_after_signal == 1);

  // In the evaluation of the first epoch: the run goes on with that.
  Trained training;
  training.model->at = 4 * 4 * kLayers + 3;
  CHECK(training.train(&images).reason == StopReason::stopped);
  CHECK(training.model->done_after_signal == 1);
  CHECK(training.classifier->checkpoint().progress.epoch == 0);
  CHECK(training.classifier->checkpoint().progress.batch == 4);
}

}  // namespace fovea
