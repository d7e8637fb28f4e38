// A step that fails changes nothing, running statistics included, and no checkpoint has numbers that are not
// finite.
#include <catch2/catch.hpp>
#include <filesystem>
#include <limits>

#include "fovea/core/check.h"
#include "fovea/training/non_finite.h"
#include "op_test.h"
#include "temporary_folder.h"
#include "tiny_classifier.h"

namespace fovea {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// A tiny model that in its `at`-th training step multiplies what comes into its last batch norm, or the
/// result, or the gradient, by a factor.
struct FailingModel : test::TinyModel {
  enum class Where { statistics, loss, gradient };
  FailingModel(Where where_, int at_) : TinyModel(1), where(where_), at(at_) {}

  Variable forward(const Variable& x) override {
    Variable y = unit.forward(stem.forward(x));
    if (is_training()) ++steps;
    const bool fails = is_training() && steps >= at;
    if (fails && where == Where::statistics) y = F::scale(y, 1e25);  // its square is infinite, it is not
    y = linear.forward(F::global_average(norm.forward_relu(y)));
    if (fails && where == Where::loss) y = F::scale(y, kInfinity);
    if (!fails || where != Where::gradient) return y;
    return record("spoil", y.value(), {y}, [](const Tensor& dy) -> std::vector<Tensor> {
      return {Tensor::full(dy.shape(), kInfinity, dy.dtype(), dy.device())};
    });
  }

  Where where;
  int at, steps = 0;
};

std::vector<Tensor> copies_of(const std::vector<NamedTensor>& tensors) {
  std::vector<Tensor> result;
  for (const NamedTensor& entry : tensors) result.push_back(entry.tensor.clone());
  return result;
}

std::string message_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    CHECK(error.exit_code() == 1);
    return error.what();
  }
  return "no error";
}

TEST_CASE("failed step: weights, running statistics and the optimiser are those of before") {
  using Where = FailingModel::Where;
  const auto where = GENERATE(Where::statistics, Where::loss, Where::gradient);
  const int at = GENERATE(1, 6);
  for (const Device device : test::devices()) {
    INFO(device << ", case " << static_cast<int>(where) << ", step " << at);
    Classifier classifier(std::make_unique<FailingModel>(where, at), {});
    move_to(classifier.model(), device);
    TrainingSettings settings = test::tiny_settings();
    settings.capture = false;  // a replay does not count the model's steps
    std::vector<Tensor> before = copies_of(classifier.checkpoint().model);
    const size_t models = before.size();
    settings.hooks.on_step = [&](const StepReport&) {
      const Checkpoint checkpoint = classifier.checkpoint();
      before = copies_of(checkpoint.model);
      for (const Tensor& tensor : copies_of(checkpoint.optimiser)) before.push_back(tensor);
    };
    settings.report_seconds = 0;
    const std::string message = message_of([&] { classifier.train(test::tiny_images(35, 1), settings); });
    // Where a variance overflows, a device's result may be NaN, too: then the loss is what is named.
    const bool is_named = where == Where::statistics && device.is_cpu();
    const std::string what = is_named                   ? "a running statistic is not finite"
                             : where == Where::gradient ? "a gradient is not finite"
                                                        : "the loss is";
    CHECK_THAT(message, Catch::Contains(what) && Catch::Contains(str(" at step ", at, " ")));
    if (is_named) CHECK_THAT(message, Catch::Contains("buffer norm.running_"));
    const Checkpoint after = classifier.checkpoint();
    CHECK(after.progress.step == at - 1);
    for (size_t i = 0; i < before.size(); ++i) {
      const NamedTensor& entry = i < models ? after.model[i] : after.optimiser[i - models];
      INFO(entry.name);
      CHECK(test::same_bits(entry.tensor.to(Device::cpu()), before[i].to(Device::cpu())));
    }
    CHECK(non_finite_weight(classifier.model()) == "");
  }
}

TEST_CASE("failed step: a running statistic that is not finite does not train on") {
  for (const float value : {std::nanf(""), kInfinity}) {
    Classifier classifier = test::tiny_classifier(1);
    auto& model = dynamic_cast<test::TinyModel&>(classifier.model());
    model.norm.running_mean.data<float>()[2] = value;
    CHECK_THAT(message_of([&] { classifier.train(test::tiny_images(35, 1), test::tiny_settings()); }),
               Catch::Contains("a running statistic is not finite at step 1 ") &&
                   Catch::Contains("buffer norm.running_mean (f32[8]) has 1 "));
  }
}

TEST_CASE("failed step: a checkpoint that is not finite is neither written nor taken") {
  const TemporaryFolder folder;
  const std::string path = folder / "net";
  Classifier classifier = test::tiny_classifier(1);
  classifier.train(test::tiny_images(35, 1), test::tiny_settings());
  classifier.save(path);
  const std::string bytes = file_bytes(path);
  const Checkpoint sound = read_checkpoint(path);
  size_t buffer = 0, moment = 0;
  while (sound.model[buffer].name != "norm.running_variance") ++buffer;
  while (sound.optimiser[moment].name != "momentum.norm.weight") ++moment;
  for (const bool of_optimiser : {false, true}) {
    Checkpoint spoiled = read_checkpoint(path);
    auto& tensors = of_optimiser ? spoiled.optimiser : spoiled.model;
    NamedTensor& entry = tensors[of_optimiser ? moment : buffer];
    REQUIRE(entry.tensor.dtype() == Dtype::f32);
    entry.tensor.data<float>()[1] = kInfinity;
    CHECK_THAT(message_of([&] { write_checkpoint(path, spoiled); }),
               Catch::StartsWith("save: " + path) && Catch::Contains(entry.name) &&
                   Catch::Contains("has 1 numbers that are not finite; nothing was written"));
    CHECK(file_bytes(path) == bytes);

    TrainingSettings settings = test::tiny_settings();
    settings.resume = &spoiled;
    Classifier other = test::tiny_classifier(2);
    const std::vector<Tensor> before = copies_of(other.checkpoint().model);
    CHECK_THAT(message_of([&] { other.train(test::tiny_images(35, 1), settings); }),
               Catch::StartsWith("resume: " + path) && Catch::Contains(entry.name));
    if (!of_optimiser) {
      CHECK_THAT(message_of([&] { other.load(spoiled); }),
                 Catch::StartsWith("checkpoint: " + path) && Catch::Contains(entry.name));
    }
    const std::vector<NamedTensor> after = other.checkpoint().model;
    for (size_t i = 0; i < before.size(); ++i) CHECK(test::same_bits(after[i].tensor, before[i]));
  }
}

TEST_CASE("failed step: what is saved on the way to a failure is finite") {
  const TemporaryFolder folder;
  for (const double rate : {1e2, 1e3, 1e5}) {
    INFO(rate);
    Classifier classifier = test::tiny_classifier(1);
    TrainingSettings settings = test::tiny_settings();
    settings.epochs = 10;
    settings.schedule = {.kind = ScheduleKind::constant, .learning_rate = rate};
    settings.hooks.on_step = [&](const StepReport&) { classifier.save(folder / "last"); };
    const std::string message = message_of([&] { classifier.train(test::tiny_images(35, 1), settings); });
    INFO(message);
    CHECK(message.find("finite") != std::string::npos);
    if (std::filesystem::exists(folder / "last"))
      test::tiny_classifier(2).load(read_checkpoint(folder / "last"));
  }
}

}  // namespace
}  // namespace fovea
