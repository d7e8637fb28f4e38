// Training on a CUDA device, emulated or real, and in mixed precision on every device.
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "fovea/data/synthetic.h"
#include "fovea/models/zoo.h"
#include "op_test.h"
#include "temporary_folder.h"
#include "tiny_classifier.h"

namespace fovea {
namespace {

const ImageSet kTrain = test::tiny_images(35, 1), kEvaluationSet = test::tiny_images(13, 2);

TrainingSettings settings_of(Precision precision, OptimiserKind kind = OptimiserKind::sgd) {
  TrainingSettings settings = test::tiny_settings();
  settings.precision = precision;
  settings.optimiser.kind = kind;
  settings.schedule.learning_rate = kind == OptimiserKind::sgd ? 0.05 : 0.005;
  settings.label_smoothing = 0.1;
  settings.evaluation_batch_size = 5;
  return settings;
}

Classifier classifier_on(Device device, uint64_t seed = 1) {
  Classifier classifier = test::tiny_classifier(seed);
  move_to(classifier.model(), device);
  return classifier;
}

std::string bytes_of(const Classifier& classifier) {
  const TemporaryFolder folder;
  classifier.save(folder / "checkpoint");
  return file_bytes(folder / "checkpoint");
}

/// The losses of all steps, and the checkpoint at the end.
struct Run {
  std::vector<double> losses;
  TrainingResult result;
  std::string bytes;
};

Run trained(Device device, TrainingSettings settings) {
  Run run;
  settings.hooks.on_step = [&](const StepReport& report) { run.losses.push_back(report.loss); };
  Classifier classifier = classifier_on(device);
  run.result = classifier.train(kTrain, settings, &kEvaluationSet);
  run.bytes = bytes_of(classifier);
  return run;
}

void check_losses(const std::vector<double>& found, const std::vector<double>& wanted, double tolerance) {
  REQUIRE(found.size() == wanted.size());
  for (size_t i = 0; i < found.size(); ++i) CHECK(found[i] == Approx(wanted[i]).epsilon(tolerance));
}

TEST_CASE("device training: the same losses on every device, and near them in 16 bits") {
  const OptimiserKind kind = GENERATE(OptimiserKind::sgd, OptimiserKind::adamw);
  const Run wanted = trained(Device::cpu(), settings_of(Precision::f32, kind));
  REQUIRE(wanted.losses.size() == 12);
  for (const Device device : test::devices()) {
    for (const Precision precision : {Precision::f32, Precision::tf32, Precision::bf16, Precision::f16}) {
      INFO(device << " " << name_of(precision));
      const Run found = trained(device, settings_of(precision, kind));
      const bool is_exact = precision == Precision::f32 || device.is_cpu();
      check_losses(found.losses, wanted.losses,
                   activation_dtype(precision) == Dtype::f32 ? (is_exact ? 1e-3 : 1e-2) : 0.1);
      CHECK(found.result.evaluation->loss == Approx(wanted.result.evaluation->loss).epsilon(0.2));
    }
  }
}

TEST_CASE("device training: captured and eager give the same bits") {
  const OptimiserKind kind = GENERATE(OptimiserKind::sgd, OptimiserKind::adamw);
  for (const Device device : test::devices()) {
    if (device.is_cpu()) continue;
    for (const Precision precision : {Precision::f32, Precision::bf16, Precision::f16}) {
      INFO(name_of(precision));
      TrainingSettings settings = settings_of(precision, kind);
      const Run captured = trained(device, settings);
      settings.capture = false;
      const Run eager = trained(device, settings);
      CHECK(captured.losses == eager.losses);
      CHECK(captured.bytes == eager.bytes);
      CHECK(captured.result.train_accuracy == eager.result.train_accuracy);
      CHECK(captured.result.evaluation->loss == eager.result.evaluation->loss);
    }
  }
}

TEST_CASE("device training: resumed from any step, the same bytes") {
  for (const Device device : test::devices()) {
    for (const Precision precision : {Precision::f32, Precision::bf16, Precision::f16}) {
      TrainingSettings settings = settings_of(precision);
      const std::string wanted = trained(device, settings).bytes;
      for (const int64_t steps : {1, 4, 6, 11}) {
        INFO(device << " " << name_of(precision) << " from step " << steps);
        const TemporaryFolder folder;
        settings.max_steps = steps;
        settings.resume = nullptr;
        Classifier first = classifier_on(device);
        first.train(kTrain, settings, &kEvaluationSet);
        first.save(folder / "stopped");
        Classifier second = classifier_on(device, /*seed=*/99);
        const Checkpoint checkpoint = read_checkpoint(folder / "stopped");
        settings.max_steps = 0;
        settings.resume = &checkpoint;
        second.train(kTrain, settings, &kEvaluationSet);
        CHECK(bytes_of(second) == wanted);
      }
    }
  }
}

/// Launches the first step of a run alone, and from then on all that is left of an epoch at once.
constexpr double kWholeEpochs = 1e9;

/// What a run reports of its steps, and where it stands at the end.
struct Reported {
  std::vector<StepReport> steps;
  std::string error;
  TrainingProgress progress;
};

Reported reported(Device device, TrainingSettings settings, double report_seconds) {
  Reported run;
  settings.report_seconds = report_seconds;
  settings.hooks.on_step = [&](const StepReport& report) { run.steps.push_back(report); };
  Classifier classifier = classifier_on(device);
  try {
    classifier.train(kTrain, settings);
  } catch (const Error& error) {
    run.error = error.what();
  }
  run.progress = classifier.checkpoint().progress;
  return run;
}

TEST_CASE("device training: steps that are launched at once are reported like single ones") {
  for (const Device device : test::devices()) {
    for (const bool is_diverging : {false, true}) {
      INFO(device << " diverging " << is_diverging);
      TrainingSettings settings = settings_of(Precision::f32);
      if (is_diverging) {
        settings.epochs = 20;
        settings.schedule.learning_rate = 1000;
        settings.optimiser.weight_decay = 0.02;
      }
      const Reported wanted = reported(device, settings, /*report_seconds=*/0);
      const Reported found = reported(device, settings, kWholeEpochs);
      CHECK(wanted.error.empty() == !is_diverging);
      CHECK(found.error == wanted.error);
      REQUIRE(found.steps.size() == wanted.steps.size());
      for (size_t i = 0; i < wanted.steps.size(); ++i) {
        INFO(i);
        CHECK(found.steps[i].step == static_cast<int64_t>(i + 1));
        CHECK(found.steps[i].batch == wanted.steps[i].batch);
        CHECK(found.steps[i].loss == wanted.steps[i].loss);
        CHECK(found.steps[i].epoch_loss == wanted.steps[i].epoch_loss);
        CHECK(found.steps[i].epoch_accuracy == wanted.steps[i].epoch_accuracy);
        CHECK(found.steps[i].learning_rate == wanted.steps[i].learning_rate);
      }
      CHECK(found.progress.step == std::ssize(wanted.steps));
      CHECK(found.progress.loss_sum == wanted.progress.loss_sum);
      CHECK(found.progress.correct == wanted.progress.correct);
    }
  }
}

/// The bytes at the end of a run that goes on from a file with other initial weights.
std::string resumed(Device device, TrainingSettings settings, const std::string& path) {
  Classifier classifier = classifier_on(device, /*seed=*/99);
  const Checkpoint checkpoint = read_checkpoint(path);
  settings.resume = &checkpoint;
  settings.hooks = {};
  classifier.train(kTrain, settings, &kEvaluationSet);
  return bytes_of(classifier);
}

TEST_CASE("device training: resumed from what a hook saved among steps launched at once, the same bytes") {
  for (const Device device : test::devices()) {
    for (const Precision precision : {Precision::f32, Precision::f16}) {
      TrainingSettings settings = settings_of(precision);
      const std::string wanted = trained(device, settings).bytes;
      settings.report_seconds = kWholeEpochs;
      for (const int64_t step : {1, 2, 4, 7}) {
        INFO(device << " " << name_of(precision) << " saved after step " << step);
        const TemporaryFolder folder;
        Classifier classifier = classifier_on(device);
        settings.hooks.on_step = [&](const StepReport& report) {
          if (report.step == step) classifier.save(folder / "saved");
        };
        classifier.train(kTrain, settings, &kEvaluationSet);
        CHECK(bytes_of(classifier) == wanted);
        const int64_t saved = read_checkpoint(folder / "saved").progress.step;
        CHECK((step <= saved && saved <= (step + 3) / 4 * 4));
        CHECK(resumed(device, settings, folder / "saved") == wanted);
      }
    }
  }
}

TEST_CASE("device training: a hook that ends the run leaves a state to go on from") {
  for (const Device device : test::devices()) {
    INFO(device);
    TrainingSettings settings = settings_of(Precision::f32);
    const std::string wanted = trained(device, settings).bytes;
    settings.report_seconds = kWholeEpochs;
    const TemporaryFolder folder;
    Classifier classifier = classifier_on(device);
    settings.hooks.on_step = [&](const StepReport& report) {
      if (report.step == 6) throw Error("enough");
    };
    CHECK_THROWS_WITH(classifier.train(kTrain, settings, &kEvaluationSet), "enough");
    classifier.save(folder / "saved");
    CHECK(resumed(device, settings, folder / "saved") == wanted);
  }
}

TEST_CASE("device training: on_step finds the state of exactly the steps that are asked for") {
  for (const Device device : test::devices()) {
    INFO(device);
    TrainingSettings settings = settings_of(Precision::f32);
    settings.exact_every = 3;
    std::vector<std::string> states[2];  // of steps one by one, and launched at once
    for (const bool at_once : {false, true}) {
      settings.report_seconds = at_once ? kWholeEpochs : 0;
      Classifier classifier = classifier_on(device);
      settings.hooks.on_step = [&](const StepReport& report) {
        if (report.step % 3 != 0) return;
        CHECK(classifier.checkpoint().progress.step == report.step);
        states[at_once].push_back(bytes_of(classifier));
      };
      classifier.train(kTrain, settings);
    }
    CHECK(states[0].size() == 4);
    CHECK(states[1] == states[0]);
  }
}

TEST_CASE("device training: weights are f32 before, in a checkpoint, and afterwards") {
  for (const Device device : test::devices()) {
    Classifier classifier = classifier_on(device);
    TrainingSettings settings = settings_of(Precision::bf16);
    bool has_seen_step = false;
    settings.hooks.on_step = [&](const StepReport&) {
      has_seen_step = true;
      for (const NamedTensor& tensor : classifier.checkpoint().model)
        CHECK(tensor.tensor.dtype() == Dtype::f32);
      CHECK(named_parameters(classifier.model())[0].variable.dtype() == Dtype::bf16);
    };
    classifier.train(kTrain, settings);
    CHECK(has_seen_step);
    for (const NamedParameter& parameter : named_parameters(classifier.model())) {
      CHECK(parameter.variable.dtype() == Dtype::f32);
    }
    // And it can be trained on, and asked.
    classifier.train(kTrain, settings);
    CHECK(classifier.evaluate(kEvaluationSet).images == kEvaluationSet.size());
    CHECK(classifier.predict_probabilities(kEvaluationSet.images).shape() == Shape{13, 3});
  }
}

TEST_CASE("device training: f16 skips the steps whose gradients overflow, and lowers the loss scale") {
  for (const Device device : test::devices()) {
    INFO(device);
    Classifier classifier = classifier_on(device);
    for (NamedParameter& parameter : named_parameters(classifier.model())) {
      if (parameter.path != "linear.weight") continue;
      // 300 for one class, -300 for the others: times the first scale, gradients are beyond 65504.
      Tensor large = Tensor::full(parameter.variable.shape(), -300.0);
      std::fill_n(large.data<float>(), large.shape(1), 300.0f);
      parameter.variable.value().copy_from(large);
    }
    TrainingSettings settings = settings_of(Precision::f16);
    classifier.train(kTrain, settings);
    double scale = 0, steps = 0;
    for (const NamedTensor& tensor : classifier.checkpoint().optimiser) {
      if (tensor.name == "loss_scale") scale = tensor.tensor.item();
      if (tensor.name == "steps") steps = tensor.tensor.item();
    }
    CHECK(scale < 65536);
    CHECK(scale >= 1);
    CHECK(steps < 12);
    CHECK(std::log2(65536 / scale) == 12 - steps);
  }
}

TEST_CASE("device training: a number that is not finite is named, and reaches no weight") {
  for (const Device device : test::devices()) {
    for (const bool capture : {false, true}) {
      INFO(device << " captured " << capture);
      Classifier classifier = classifier_on(device);
      TrainingSettings settings = settings_of(Precision::f32);
      settings.capture = capture;
      // Weights grow some twenty times a step, so that sums of gradients overflow before the weights do.
      settings.epochs = 20;
      settings.schedule.learning_rate = 1000;
      settings.optimiser.weight_decay = 0.02;
      CHECK_THROWS_WITH(classifier.train(kTrain, settings),
                        Catch::Contains("train: ") && Catch::Contains("at step"));
      for (const NamedTensor& tensor : classifier.checkpoint().model) {
        if (tensor.name.find("running") != std::string::npos) continue;
        for (const double number : tensor.tensor.to_doubles()) REQUIRE(std::isfinite(number));
      }
    }
  }
}

/// A tiny model whose `at`-th forward pass gives no numbers.
struct SpoiledModel : test::TinyModel {
  explicit SpoiledModel(int at_) : TinyModel(/*seed=*/1), at(at_) {}

  Variable forward(const Variable& x) override {
    const Variable y = TinyModel::forward(x);
    if (++passes != at) return y;
    const double nan = std::numeric_limits<double>::quiet_NaN();
    return record("spoil", Tensor::full(y.shape(), nan, y.dtype(), y.value().device()), {y},
                  [](const Tensor& dy) -> std::vector<Tensor> { return {dy}; });
  }

  int at, passes = 0;
};

TEST_CASE("device training: nothing is learnt after a loss that is not finite, whatever the precision") {
  for (const Device device : test::devices()) {
    for (const Precision precision : {Precision::f32, Precision::f16}) {
      INFO(device << " " << name_of(precision));
      TrainingSettings settings = settings_of(precision);
      settings.capture = false;                              // the model counts its passes
      std::map<std::string, std::vector<double>> states[2];  // after steps one by one, and launched at once
      for (const bool at_once : {false, true}) {
        settings.report_seconds = at_once ? kWholeEpochs : 0;
        Classifier classifier(std::make_unique<SpoiledModel>(/*at=*/6), {});
        move_to(classifier.model(), device);
        CHECK_THROWS_WITH(classifier.train(kTrain, settings), Catch::Contains("the loss is nan at step 6 "));
        const Checkpoint checkpoint = classifier.checkpoint();
        CHECK(checkpoint.progress.step == 5);
        for (const std::vector<NamedTensor>* tensors : {&checkpoint.model, &checkpoint.optimiser}) {
          for (const NamedTensor& tensor : *tensors) {
            if (tensor.name.find("running") != std::string::npos) continue;
            states[at_once][tensor.name] = tensor.tensor.to_doubles();
          }
        }
      }
      CHECK(states[0].count("loss_scale") == (precision == Precision::f16 ? 1 : 0));
      CHECK(states[1] == states[0]);
    }
  }
}

/// The losses of the first two steps of a network with random images.
std::vector<double> first_losses(const std::string& name, ModelOptions options, Device device) {
  const ImageSet images = synthetic_images(Split::train, /*count=*/6, /*seed=*/1);
  options.classes = images.classes();
  Classifier classifier(make_model(name, options, /*seed=*/1), normalisation_of(images));
  move_to(classifier.model(), device);
  std::vector<double> losses;
  TrainingSettings settings = settings_of(Precision::f32);
  settings.batch_size = 3;
  settings.max_steps = 2;
  settings.hooks.on_step = [&](const StepReport& report) { losses.push_back(report.loss); };
  classifier.train(images, settings);
  return losses;
}

TEST_CASE("device training: networks take their first steps on a CUDA device as on the CPU") {
  if (test::devices().size() < 2) return;
  const auto check_network = [](const std::string& name, const ModelOptions& options, bool is_deep) {
    INFO(name);
    const std::vector<double> found = first_losses(name, options, Device::cuda());
    const std::vector<double> wanted = first_losses(name, options, Device::cpu());
    REQUIRE(found.size() == 2);
    CHECK(found[0] == Approx(wanted[0]).epsilon(is_deep ? 1e-3 : 1e-5));
    // Batch norm over so few images makes much of a rounding; tens of them, after a step, anything.
    CHECK(found[1] == Approx(wanted[1]).epsilon(is_deep ? 0.5 : 1e-2));
  };
  check_network("attention-nano", {}, /*is_deep=*/false);
  ModelOptions options;
  options.attention = Attention::spatial;
  options.merge = Merge::naive;
  check_network("attention-nano", options, /*is_deep=*/false);
  if (describe(Device::cuda()).starts_with("emulated")) return;  // where the others would take minutes
  for (const std::string& name : model_names()) {
    if (model_input_size(name) == 32) check_network(name, {}, /*is_deep=*/true);
  }
}

}  // namespace
}  // namespace fovea
