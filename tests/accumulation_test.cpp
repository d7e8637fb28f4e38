// A batch that is computed in parts, whose gradients add up.
#include <catch2/catch.hpp>
#include <vector>

#include "fovea/data/loader.h"
#include "fovea/layers/functional.h"
#include "op_test.h"
#include "tiny_classifier.h"

namespace fovea {
namespace {

/// What a step of gradient descent on the first batch makes of the weights, part after part.
std::vector<NamedTensor> stepped_by_hand(const ImageSet& train, const TrainingSettings& settings,
                                         int64_t part, double& loss) {
  Classifier classifier = test::tiny_classifier(1);
  classifier.model().train();
  const std::vector<int64_t> order = shuffled_order(train.size(), settings.seed, /*epoch=*/0);
  const int64_t B = settings.batch_size;
  for (int64_t first = 0; first < B; first += part) {
    const int64_t count = std::min(part, B - first);
    const Batch batch =
        make_batch(train, std::span(order).subspan(static_cast<size_t>(first), static_cast<size_t>(count)),
                   classifier.normalisation(), std::nullopt, settings.seed, /*epoch=*/0);
    const Variable mean = F::softmax_cross_entropy(classifier.model().forward(batch.images), batch.labels);
    const double share = static_cast<double>(count) / static_cast<double>(B);
    mean.backward(Tensor::full({}, share));
    loss += share * mean.value().item();
  }
  for (NamedParameter& parameter : named_parameters(classifier.model())) {
    Tensor& value = parameter.variable.value();
    for (int64_t i = 0; i < value.size(); ++i) {
      value.data<float>()[i] -= 0.5f * std::as_const(parameter.variable).grad().data<float>()[i];
    }
  }
  std::vector<NamedTensor> weights = weights_of(classifier.model());
  for (NamedTensor& weight : weights) weight.tensor = weight.tensor.clone();
  return weights;
}

TEST_CASE("accumulation: one step is that of the parts' weighted gradients, by hand, on every device") {
  const ImageSet train = test::tiny_images(8, 1);
  TrainingSettings settings = test::tiny_settings();
  settings.epochs = 1;
  settings.augmentation.reset();
  settings.optimiser = {.momentum = 0, .nesterov = false, .weight_decay = 0};
  settings.schedule = {.kind = ScheduleKind::constant, .learning_rate = 0.5};
  settings.accumulation = GENERATE(1, 2, 3, 8);
  const int64_t part = (settings.batch_size + settings.accumulation - 1) / settings.accumulation;
  double loss = 0;
  const std::vector<NamedTensor> wanted = stepped_by_hand(train, settings, part, loss);
  for (const Device device : test::devices()) {
    INFO(device << ", " << settings.accumulation << " parts");
    Classifier classifier = test::tiny_classifier(1);
    move_to(classifier.model(), device);
    const TrainingResult result = classifier.train(train, settings);
    CHECK(result.train_loss == Approx(loss).epsilon(1e-5));
    CHECK(result.steps == 1);
    const std::vector<NamedTensor> found = weights_of(classifier.model());
    REQUIRE(found.size() == wanted.size());
    for (size_t i = 0; i < found.size(); ++i) {
      INFO(wanted[i].name);
      test::check_near(found[i].tensor.to(Device::cpu()), wanted[i].tensor.to_doubles(), 2e-5);
    }
  }
}

TEST_CASE("accumulation: correct answers are those of all parts, with mixed images, too") {
  const ImageSet train = test::tiny_images(35, 1);
  TrainingSettings settings = test::tiny_settings();
  settings.accumulation = 3;
  settings.augmentation->mixup = 1;
  Classifier classifier = test::tiny_classifier(1);
  int64_t reports = 0;
  settings.hooks.on_step = [&](const StepReport& report) {
    ++reports;
    const double correct = report.epoch_accuracy * static_cast<double>(report.batch * settings.batch_size);
    CHECK(correct == Approx(std::round(correct)).margin(1e-9));
    CHECK(report.epoch_accuracy <= 1);
  };
  classifier.train(train, settings);
  CHECK(reports == 12);
}

}  // namespace
}  // namespace fovea
