// A batch that is computed in parts, whose gradients add up.
#include <catch2/catch.hpp>
#include <vector>

#include "fovea/data/loader.h"
#include "fovea/layers/functional.h"
#include "op_test.h"
#include "tiny_classifier.h"

namespace fovea {
namespace {

/// The first batch of a run, in so many parts whose sizes differ by one at most.
std::vector<Batch> first_parts(const ImageSet& train, const TrainingSettings& settings,
                               const ImageNormalisation& normalisation) {
  const std::vector<int64_t> order = shuffled_order(train.size(), settings.seed, /*epoch=*/0);
  const int64_t B = settings.batch_size, parts = settings.accumulation;
  const Batch whole = make_batch(train, std::span(order).first(static_cast<size_t>(B)), normalisation,
                                 settings.augmentation, settings.seed, /*epoch=*/0);
  std::vector<Batch> result;
  for (int64_t part = 0; part < parts; ++part) {
    const int64_t first = part * B / parts, count = (part + 1) * B / parts - first;
    result.push_back(
        {whole.images.slice(first * 8 * 8 * 3, {count, 8, 8, 3}), whole.labels.slice(first, {count})});
  }
  return result;
}

/// What a step of gradient descent on the first batch makes of the weights, part after part.
std::vector<NamedTensor> stepped_by_hand(const ImageSet& train, const TrainingSettings& settings,
                                         double& loss) {
  Classifier classifier = test::tiny_classifier(1);
  classifier.model().train();
  for (const Batch& part : first_parts(train, settings, classifier.normalisation())) {
    const Variable mean = F::softmax_cross_entropy(classifier.model().forward(part.images), part.labels);
    const double share = static_cast<double>(part.labels.size()) / static_cast<double>(settings.batch_size);
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
  double loss = 0;
  const std::vector<NamedTensor> wanted = stepped_by_hand(train, settings, loss);
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
  settings.max_steps = 1;
  Classifier classifier = test::tiny_classifier(1), by_hand = test::tiny_classifier(1);
  by_hand.model().train();
  int64_t correct = 0;
  for (const Batch& part : first_parts(train, settings, classifier.normalisation())) {
    correct += count_correct(by_hand.model().forward(part.images).value(), part.labels);
  }
  REQUIRE(correct > 0);
  int64_t reports = 0;
  settings.hooks.on_step = [&](const StepReport& report) {
    ++reports;
    CHECK(report.epoch_accuracy * 8 == Approx(static_cast<double>(correct)));
  };
  classifier.train(train, settings);
  CHECK(reports == 1);
}

TEST_CASE("accumulation: more parts than images are as many as there are images") {
  const ImageSet train = test::tiny_images(35, 1);
  const auto weights = [&](int64_t parts) {
    TrainingSettings settings = test::tiny_settings();
    settings.accumulation = parts;
    Classifier classifier = test::tiny_classifier(1);
    classifier.train(train, settings);
    return weights_of(classifier.model())[0].tensor.to_doubles();
  };
  CHECK(weights(8) == weights(1000));
}

}  // namespace
}  // namespace fovea
