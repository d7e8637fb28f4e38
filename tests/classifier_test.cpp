#include "fovea/training/classifier.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "fovea/core/check.h"
#include "op_test.h"
#include "tiny_classifier.h"

namespace fovea {
namespace {

TEST_CASE("classifier: learns what can be learnt") {
  const ImageSet train = test::tiny_images(240, 1), evaluation_set = test::tiny_images(60, 2);
  Classifier classifier = test::tiny_classifier(1);
  TrainingSettings settings = test::tiny_settings();
  settings.epochs = 4;
  const double accuracy_before = classifier.evaluate(evaluation_set).accuracy;
  const TrainingResult result = classifier.train(train, settings, &evaluation_set);
  CHECK(accuracy_before < 0.7);
  REQUIRE(result.evaluation.has_value());
  CHECK(result.evaluation->accuracy > 0.95);
  CHECK(result.train_accuracy > 0.9);
  CHECK(result.train_loss < 0.5);
  CHECK(result.reason == StopReason::finished);
  CHECK(result.steps == 120);
  CHECK(result.epochs == 4);
  CHECK(result.images_per_second > 0);
  CHECK(result.seconds > 0);
  CHECK(result.best_accuracy >= result.evaluation->accuracy);
  CHECK((result.best_epoch >= 1 && result.best_epoch <= 4));
}

TEST_CASE("classifier: evaluation and probabilities agree, whatever the batch size") {
  const ImageSet data = test::tiny_images(23, 3);
  Classifier classifier = test::tiny_classifier(1);
  const Tensor probabilities = classifier.predict_probabilities(data.images);
  REQUIRE(probabilities.str() == "f32[23, 3]");
  double loss = 0, correct = 0;
  for (int64_t n = 0; n < 23; ++n) {
    const float* row = probabilities.data<float>() + 3 * n;
    const int32_t label = data.labels.data<int32_t>()[n];
    CHECK(row[0] + row[1] + row[2] == Approx(1));
    loss -= std::log(row[label]) / 23;
    correct += row[label] >= std::max({row[0], row[1], row[2]}) ? 1 : 0;
  }
  for (const int64_t batch_size : {int64_t{1}, int64_t{7}, int64_t{23}, int64_t{256}, int64_t{1} << 50}) {
    EvaluationSettings settings{.batch_size = batch_size};
    const Evaluation evaluation = classifier.evaluate(data, settings);
    CHECK(evaluation.loss == Approx(loss).epsilon(1e-5));
    CHECK(evaluation.accuracy == Approx(correct / 23));
    CHECK(evaluation.images == 23);
    CHECK_FALSE(evaluation.top5_accuracy.has_value());
    test::check_near(classifier.predict_probabilities(data.images, settings), probabilities, 1e-6);
  }
  CHECK(classifier.model().is_training());
  CHECK(classifier.predict_probabilities(Tensor::empty({0, 8, 8, 3}, Dtype::u8)).size() == 0);
  CHECK_THROWS_AS(classifier.predict_probabilities(Tensor::zeros({1, 8, 8, 3})), Error);
  CHECK_THROWS_AS(classifier.evaluate(data, {.batch_size = 0}), UsageError);
}

TEST_CASE("classifier: an evaluation that is stopped says how far it came") {
  const ImageSet data = test::tiny_images(20, 3);
  Classifier classifier = test::tiny_classifier(1);
  int64_t polls = 0;
  std::vector<int64_t> seen;
  const EvaluationSettings settings{.batch_size = 6,
                                    .on_batch = [&](int64_t done, int64_t) { seen.push_back(done); },
                                    .should_stop = [&] { return ++polls == 3; }};
  CHECK(classifier.evaluate(data, settings).images == 12);
  CHECK(seen == std::vector<int64_t>{6, 12});
  polls = 0;
  CHECK(classifier.predict_probabilities(data.images, settings).shape() == Shape{12, 3});
}

TEST_CASE("classifier: what the hooks are told") {
  const ImageSet train = test::tiny_images(35, 1), evaluation_set = test::tiny_images(13, 2);
  Classifier classifier = test::tiny_classifier(1);
  TrainingSettings settings = test::tiny_settings();
  settings.evaluation_batch_size = 10;
  std::vector<StepReport> steps;
  std::vector<EpochReport> epochs;
  std::vector<int64_t> evaluated;
  settings.hooks.on_step = [&](const StepReport& report) { steps.push_back(report); };
  settings.hooks.on_epoch = [&](const EpochReport& report) { epochs.push_back(report); };
  settings.hooks.on_evaluation = [&](int64_t done, int64_t total) {
    CHECK(total == 13);
    evaluated.push_back(done);
  };
  const TrainingResult result = classifier.train(train, settings, &evaluation_set);
  REQUIRE(steps.size() == 12);
  double loss_sum = 0;
  for (size_t i = 0; i < steps.size(); ++i) {
    const StepReport& report = steps[i];
    const auto number = static_cast<int64_t>(i);
    CHECK((report.step == number + 1 && report.steps == 12));
    CHECK((report.epoch == number / 4 + 1 && report.epochs == 3));
    CHECK((report.batch == number % 4 + 1 && report.batches == 4));
    CHECK(report.learning_rate == learning_rate(settings.schedule, number, 12));
    loss_sum = report.batch == 1 ? report.loss : loss_sum + report.loss;
    CHECK(report.epoch_loss == Approx(loss_sum / static_cast<double>(report.batch)));
    CHECK((report.epoch_accuracy >= 0 && report.epoch_accuracy <= 1));
    CHECK(report.images_per_second > 0);
  }
  REQUIRE(epochs.size() == 3);
  CHECK(evaluated == std::vector<int64_t>{10, 13, 10, 13, 10, 13});
  double best = -1;
  for (size_t i = 0; i < epochs.size(); ++i) {
    const EpochReport& report = epochs[i];
    CHECK(report.step == 4 * static_cast<int64_t>(i + 1));
    CHECK(report.train_loss == steps[4 * i + 3].epoch_loss);
    CHECK(report.train_accuracy == steps[4 * i + 3].epoch_accuracy);
    REQUIRE(report.evaluation.has_value());
    CHECK(report.is_best == (report.evaluation->accuracy > best));
    best = std::max(best, report.evaluation->accuracy);
  }
  CHECK(result.best_accuracy == best);
  CHECK(result.train_loss == epochs[2].train_loss);
}

TEST_CASE("classifier: a set smaller than a batch is one batch") {
  const ImageSet train = test::tiny_images(5, 1);
  Classifier classifier = test::tiny_classifier(1);
  const TrainingResult result = classifier.train(train, test::tiny_settings());
  CHECK(result.steps == 3);
  CHECK_FALSE(result.evaluation.has_value());
  CHECK(result.best_epoch == 0);
}

TEST_CASE("classifier: max_steps ends the run but does not change it") {
  const ImageSet train = test::tiny_images(35, 1), evaluation_set = test::tiny_images(13, 2);
  Classifier classifier = test::tiny_classifier(1);
  TrainingSettings settings = test::tiny_settings();
  settings.max_steps = 5;
  std::vector<double> rates;
  settings.hooks.on_step = [&](const StepReport& report) {
    CHECK(report.steps == 5);
    rates.push_back(report.learning_rate);
  };
  const TrainingResult result = classifier.train(train, settings, &evaluation_set);
  CHECK(result.reason == StopReason::max_steps);
  CHECK(result.steps == 5);
  CHECK(result.epochs == 1);
  REQUIRE(rates.size() == 5);
  CHECK(rates[4] == learning_rate(settings.schedule, 4, 12));
  REQUIRE(result.evaluation.has_value());
  CHECK(result.evaluation->loss == classifier.evaluate(evaluation_set, {.batch_size = 256}).loss);
}

TEST_CASE("classifier: settings that make no sense") {
  const ImageSet train = test::tiny_images(5, 1);
  Classifier classifier = test::tiny_classifier(1);
  const auto check_refused = [&](auto&& change, const std::string& name) {
    TrainingSettings settings = test::tiny_settings();
    change(settings);
    CHECK_THROWS_AS(classifier.train(train, settings), UsageError);
    CHECK_THROWS_WITH(classifier.train(train, settings), Catch::Contains(name));
  };
  check_refused([](TrainingSettings& s) { s.epochs = 0; }, "epochs");
  check_refused([](TrainingSettings& s) { s.batch_size = 0; }, "batch_size");
  check_refused([](TrainingSettings& s) { s.max_steps = -1; }, "max_steps");
  check_refused([](TrainingSettings& s) { s.label_smoothing = 1; }, "label_smoothing");
  check_refused([](TrainingSettings& s) { s.evaluation_batch_size = 0; }, "evaluation_batch_size");
  check_refused([](TrainingSettings& s) { s.exact_every = -1; }, "exact_every");
  check_refused([](TrainingSettings& s) { s.report_seconds = -0.1; }, "report_seconds");
  check_refused([](TrainingSettings& s) { s.augmentation->padding = -1; }, "padding");
  check_refused([](TrainingSettings& s) { s.optimiser.momentum = 2; }, "momentum");
  check_refused([](TrainingSettings& s) { s.schedule.learning_rate = -1; }, "learning_rate");
  CHECK_THROWS_AS(
      classifier.train(
          ImageSet{"none", Tensor::empty({0, 8, 8, 3}, Dtype::u8), Tensor::empty({0}, Dtype::i32), {"a"}},
          test::tiny_settings()),
      UsageError);
  CHECK_THROWS_AS(Classifier(nullptr, {}), Error);
  CHECK_THROWS_AS(Classifier(std::make_unique<test::TinyModel>(1), {{0, 0, 0}, {1, 0, 1}}), Error);
}

/// A tiny model that from its `at`-th forward pass on spoils its numbers (or gradients) after the unit.
struct SpoiledModel : test::TinyModel {
  SpoiledModel(int at_, bool in_gradient_) : TinyModel(1), at(at_), in_gradient(in_gradient_) {}

  Variable forward(const Variable& x) override {
    Variable y = unit.forward(stem.forward(x));
    if (++passes >= at) y = spoil(y);
    return linear.forward(F::global_average(norm.forward_relu(y)));
  }

  Variable spoil(const Variable& x) const {
    const auto spoiled = [](const Tensor& t) {
      Tensor result = t.clone();
      result.data<float>()[result.size() / 2] = std::numeric_limits<float>::infinity();
      return result;
    };
    return record("spoil", in_gradient ? x.value() : spoiled(x.value()), {x},
                  [this, spoiled](const Tensor& dy) -> std::vector<Tensor> {
                    return {in_gradient ? spoiled(dy) : dy};
                  });
  }

  int at, passes = 0;
  bool in_gradient;
};

std::string message_of_training(Classifier& classifier) {
  try {
    classifier.train(test::tiny_images(35, 1), test::tiny_settings());
  } catch (const Error& error) {
    return error.what();
  }
  return "trained";
}

TEST_CASE("classifier: the operation that made a number that is not finite is named") {
  Classifier classifier(std::make_unique<SpoiledModel>(/*at=*/6, /*in_gradient=*/false), {});
  CHECK_THAT(message_of_training(classifier),
             Catch::Contains("at step 6 (epoch 2, learning rate") &&
                 Catch::Contains("operation spoil after layer unit.expand is the first whose result") &&
                 Catch::Contains("not finite: 1"));
}

TEST_CASE("classifier: the layer of that operation is named") {
  Classifier classifier = test::tiny_classifier(1);
  auto& model = dynamic_cast<test::TinyModel&>(classifier.model());
  // Finite, but its products with the activations are not.
  model.unit.expand.weight.value().copy_from(Tensor::full(model.unit.expand.weight.shape(), 3e38));
  CHECK_THAT(message_of_training(classifier),
             Catch::Contains("at step 1 ") &&
                 Catch::Contains("operation preactivation_conv of layer unit.expand is the first"));
}

TEST_CASE("classifier: the parameter that is not finite is named") {
  Classifier classifier = test::tiny_classifier(1);
  auto& model = dynamic_cast<test::TinyModel&>(classifier.model());
  model.norm.bias.value().data<float>()[2] = std::nanf("");
  CHECK_THAT(message_of_training(classifier), Catch::Contains("the loss is nan at step 1 ") &&
                                                  Catch::Contains("parameter norm.bias (f32[8]) has 1 "));
}

TEST_CASE("classifier: a gradient that is not finite is named, and does not reach the weights") {
  Classifier classifier(std::make_unique<SpoiledModel>(/*at=*/1, /*in_gradient=*/true), {});
  const Tensor before = classifier.checkpoint().model[0].tensor.clone();
  CHECK_THAT(message_of_training(classifier),
             Catch::Contains("a gradient is not finite at step 1 ") && Catch::Contains("parameter unit."));
  CHECK(test::same_bits(classifier.checkpoint().model[0].tensor, before));
}

TEST_CASE("metrics: correct rows, by hand") {
  const float nan = std::nanf("");
  const Tensor logits = Tensor::from<float>({1, 3, 2,    // 1, then 2, then 0
                                             5, 5, 5,    // equal: the first counts
                                             nan, 1, 0,  // a NaN elsewhere is not larger
                                             0, nan, 1},
                                            {4, 3});
  const auto correct = [&](const std::vector<int32_t>& labels, int64_t k) {
    return count_correct(logits, Tensor::from<int32_t>(labels, {4}), k);
  };
  CHECK(correct({1, 0, 1, 2}, 1) == 4);
  CHECK(correct({2, 1, 0, 1}, 1) == 0);
  CHECK(correct({2, 1, 2, 0}, 2) == 4);
  CHECK(correct({0, 2, 0, 1}, 2) == 0);
  CHECK(correct({0, 2, 0, 1}, 3) == 2);  // a NaN at the label never counts
  CHECK_THROWS_AS(correct({3, 0, 0, 0}, 1), Error);
  CHECK_THROWS_AS(count_correct(logits, Tensor::zeros({3}, Dtype::i32)), Error);
}

TEST_CASE("metrics: median") {
  CHECK(median({}) == 0);
  CHECK(median({3}) == 3);
  CHECK(median({3, 1}) == 2);
  CHECK(median({5, 1, 3}) == 3);
  CHECK(median({4, 1, 3, 2}) == 2.5);
}

}  // namespace
}  // namespace fovea
