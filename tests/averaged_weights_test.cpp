#include <catch2/catch.hpp>
#include <map>
#include <string>
#include <vector>

#include "op_test.h"
#include "tiny_classifier.h"

namespace fovea {
namespace {

using Weights = std::map<std::string, std::vector<double>>;

/// The tensors of a checkpoint whose names begin with `prefix`, without it.
Weights named(const std::vector<NamedTensor>& tensors, const std::string& prefix = "") {
  Weights result;
  for (const NamedTensor& entry : tensors) {
    if (entry.name.starts_with(prefix)) {
      result[entry.name.substr(prefix.size())] = entry.tensor.to(Device::cpu()).to_doubles();
    }
  }
  return result;
}

Classifier classifier_on(Device device) {
  Classifier classifier = test::tiny_classifier(1);
  move_to(classifier.model(), device);
  return classifier;
}

TEST_CASE(
    "averaged weights: what is evaluated and saved are the averages, by hand; the run does not see them") {
  const ImageSet train = test::tiny_images(35, 1), held_out = test::tiny_images(13, 2);
  const Precision precision = GENERATE(Precision::f32, Precision::bf16);
  for (const Device device : test::devices()) {
    INFO(device << " " << name_of(precision));
    TrainingSettings settings = test::tiny_settings();
    settings.precision = precision;
    settings.capture = GENERATE(false, true);
    settings.exact_every = 1;

    Classifier plain = classifier_on(device);
    std::vector<Weights> trained;  // after each step
    settings.hooks.on_step = [&](const StepReport&) { trained.push_back(named(plain.checkpoint().model)); };
    Weights wanted = named(plain.checkpoint().model);
    plain.train(train, settings, &held_out);
    for (size_t step = 0; step < trained.size(); ++step) {
      const double count = static_cast<double>(step) + 1, decay = std::min(0.8, (1 + count) / (10 + count));
      for (auto& [name, numbers] : wanted) {
        for (size_t i = 0; i < numbers.size(); ++i) {
          numbers[i] += (1 - decay) * (trained[step].at(name)[i] - numbers[i]);
        }
      }
    }

    settings.ema_decay = 0.8;
    Classifier averaged = classifier_on(device);
    settings.hooks.on_step = {};
    const TrainingResult result = averaged.train(train, settings, &held_out);
    const Checkpoint checkpoint = averaged.checkpoint();
    const Weights found = named(checkpoint.model);
    REQUIRE(found.size() == wanted.size());
    for (const auto& [name, numbers] : wanted) {
      INFO(name);
      for (size_t i = 0; i < numbers.size(); ++i) CHECK(found.at(name)[i] == Approx(numbers[i]).margin(1e-5));
    }
    CHECK(named(checkpoint.optimiser, "trained.") == trained.back());
    if (precision != Precision::f32) continue;
    CHECK(averaged.evaluate(held_out, {.batch_size = 256}).loss == Approx(result.evaluation->loss));
    CHECK(averaged.evaluate(held_out).loss != Approx(plain.evaluate(held_out).loss));
  }
}

TEST_CASE("averaged weights: a hook that saves while they are evaluated saves the same") {
  const ImageSet train = test::tiny_images(35, 1), held_out = test::tiny_images(13, 2);
  Classifier classifier = test::tiny_classifier(1);
  TrainingSettings settings = test::tiny_settings();
  settings.ema_decay = 0.8;
  settings.evaluation_batch_size = 5;
  std::vector<Weights> models, states;
  const auto note = [&] {
    models.push_back(named(classifier.checkpoint().model));
    states.push_back(named(classifier.checkpoint().optimiser));
  };
  settings.hooks.on_step = [&](const StepReport& report) {
    if (report.batch == report.batches) note();
  };
  settings.hooks.on_evaluation = [&](int64_t, int64_t) { note(); };
  settings.hooks.on_epoch = [&](const EpochReport&) { note(); };
  classifier.train(train, settings, &held_out);
  note();
  REQUIRE(models.size() == 3 * 5 + 1);
  for (size_t i = 0; i < models.size(); ++i) {
    const size_t first = std::min<size_t>(i / 5, 2) * 5;
    CHECK(models[i] == models[first]);
    CHECK(states[i] == states[first]);
  }
}

TEST_CASE("averaged weights: a run goes on from weights that a hook loads") {
  const ImageSet train = test::tiny_images(35, 1);
  Classifier other = test::tiny_classifier(5), classifier = test::tiny_classifier(1);
  const Checkpoint loaded = other.checkpoint();
  TrainingSettings settings = test::tiny_settings();
  settings.ema_decay = 0.8;
  Weights model, trained;
  settings.hooks.on_step = [&](const StepReport& report) {
    if (report.step != 3) return;
    classifier.load(loaded);
    model = named(classifier.checkpoint().model);
    trained = named(classifier.checkpoint().optimiser, "trained.");
  };
  classifier.train(train, settings);
  CHECK(model == named(loaded.model));
  CHECK(trained == named(loaded.model));
}

}  // namespace
}  // namespace fovea
