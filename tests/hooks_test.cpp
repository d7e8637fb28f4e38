// What a hook may do to the classifier that calls it.
#include <catch2/catch.hpp>

#include "fovea/core/check.h"
#include "op_test.h"
#include "temporary_folder.h"
#include "tiny_classifier.h"

namespace fovea {
namespace {

const ImageSet kTrain = test::tiny_images(35, 1), kEvaluationSet = test::tiny_images(13, 2);

void check_same_weights(const std::vector<NamedTensor>& found, const std::vector<NamedTensor>& wanted) {
  REQUIRE(found.size() == wanted.size());
  for (size_t i = 0; i < found.size(); ++i) {
    INFO(found[i].name);
    CHECK(test::same_bits(found[i].tensor, wanted[i].tensor));
  }
}

TEST_CASE("hooks: load goes back to saved weights, and the run goes on with them") {
  const Precision precision = GENERATE(Precision::f32, Precision::bf16);
  const TemporaryFolder folder;
  Classifier classifier = test::tiny_classifier(1);
  TrainingSettings settings = test::tiny_settings();
  settings.precision = precision;
  bool is_loaded = false;
  settings.hooks.on_step = [&](const StepReport& report) {
    if (report.step == 3) classifier.save(folder / "best");
    if (report.step != 7) return;
    const Checkpoint best = read_checkpoint(folder / "best");
    classifier.load(best);
    check_same_weights(classifier.checkpoint().model, best.model);
    CHECK(classifier.checkpoint().progress.step == 7);
    is_loaded = true;
  };
  CHECK(classifier.train(kTrain, settings, &kEvaluationSet).steps == 12);
  CHECK(is_loaded);

  // The same by hand, without a hook: stop, load the weights into the checkpoint, and resume.
  Classifier other = test::tiny_classifier(1);
  settings.hooks = {};
  settings.max_steps = 7;
  other.train(kTrain, settings);
  other.save(folder / "stopped");
  Checkpoint stopped = read_checkpoint(folder / "stopped");
  stopped.model = read_checkpoint(folder / "best").model;
  settings.max_steps = 0;
  settings.resume = &stopped;
  other.train(kTrain, settings, &kEvaluationSet);
  check_same_weights(classifier.checkpoint().model, other.checkpoint().model);
}

TEST_CASE("hooks: load works in every hook, and changes nothing where it does not fit") {
  Classifier classifier = test::tiny_classifier(1);
  const Classifier initial = test::tiny_classifier(2);
  const Checkpoint wanted = initial.checkpoint();
  int loads = 0;
  const auto load = [&] {
    classifier.load(wanted);
    check_same_weights(classifier.checkpoint().model, wanted.model);
    ++loads;
    CHECK_THROWS_AS(classifier.load(Checkpoint()), CheckpointError);
    check_same_weights(classifier.checkpoint().model, wanted.model);
  };
  TrainingSettings settings = test::tiny_settings();
  settings.epochs = 1;
  settings.profile_steps = 1;
  settings.hooks = {.on_step = [&](const StepReport&) { load(); },
                    .on_epoch = [&](const EpochReport&) { load(); },
                    .on_evaluation = [&](int64_t, int64_t) { load(); },
                    .should_stop = [&] { return load(), false; },
                    .on_profile = [&](const Profile&) { load(); }};
  classifier.train(kTrain, settings, &kEvaluationSet);
  CHECK(loads == 4 + 1 + 1 + 5 + 1);
  classifier.evaluate(kEvaluationSet, {.on_batch = [&](int64_t, int64_t) { load(); }});
  CHECK(loads == 13);
  check_same_weights(weights_of(classifier.model()), wanted.model);
}

TEST_CASE("hooks: train is refused in every hook, and the run goes on") {
  Classifier classifier = test::tiny_classifier(1), undisturbed = test::tiny_classifier(1);
  TrainingSettings settings = test::tiny_settings();
  undisturbed.train(kTrain, settings, &kEvaluationSet);
  const TrainingSettings inner = settings;
  int refusals = 0;
  const auto train = [&] {
    CHECK_THROWS_AS(classifier.train(kTrain, inner), UsageError);
    CHECK_THROWS_WITH(classifier.train(kTrain, inner), Catch::Contains("in a hook"));
    ++refusals;
  };
  settings.hooks.on_step = [&](const StepReport&) { train(); };
  settings.hooks.on_epoch = [&](const EpochReport&) { train(); };
  settings.hooks.on_evaluation = [&](int64_t, int64_t) { train(); };
  classifier.train(kTrain, settings, &kEvaluationSet);
  CHECK(refusals == 12 + 3 + 3);
  check_same_weights(classifier.checkpoint().model, undisturbed.checkpoint().model);
  const EvaluationSettings evaluation{.on_batch = [&](int64_t, int64_t) { train(); }};
  classifier.evaluate(kEvaluationSet, evaluation);
  classifier.predict_probabilities(kEvaluationSet.images, evaluation);
  CHECK(refusals == 20);
  classifier.train(kTrain, inner);  // outside it goes on as ever
}

TEST_CASE("hooks: another classifier may be trained, and this one evaluated") {
  Classifier classifier = test::tiny_classifier(1), undisturbed = test::tiny_classifier(1);
  TrainingSettings settings = test::tiny_settings();
  undisturbed.train(kTrain, settings, &kEvaluationSet);
  Classifier other = test::tiny_classifier(1);
  settings.hooks.on_evaluation = [&](int64_t, int64_t) {
    if (other.checkpoint().progress.step == 0) other.train(kTrain, test::tiny_settings(), &kEvaluationSet);
    classifier.evaluate(kEvaluationSet);
  };
  settings.hooks.on_step = [&](const StepReport&) { classifier.evaluate(kEvaluationSet); };
  classifier.train(kTrain, settings, &kEvaluationSet);
  check_same_weights(classifier.checkpoint().model, undisturbed.checkpoint().model);
  check_same_weights(other.checkpoint().model, undisturbed.checkpoint().model);
}

TEST_CASE("hooks: one that throws ends the run, and the classifier goes on as if the run had been stopped") {
  Classifier classifier = test::tiny_classifier(1);
  TrainingSettings settings = test::tiny_settings();
  settings.hooks.on_step = [](const StepReport&) { throw Error("enough"); };
  CHECK_THROWS_WITH(classifier.train(kTrain, settings), "enough");
  settings.hooks = {};
  const Checkpoint wanted = test::tiny_classifier(2).checkpoint();
  classifier.load(wanted);
  check_same_weights(classifier.checkpoint().model, wanted.model);
  CHECK(classifier.train(kTrain, settings).steps == 12);
}

}  // namespace
}  // namespace fovea
