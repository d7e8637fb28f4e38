#include "fovea/training/evaluator.h"

#include <catch2/catch.hpp>
#include <numeric>
#include <vector>

#include "fovea/layers/functional.h"
#include "op_test.h"
#include "tiny_classifier.h"

namespace fovea {
namespace {

TEST_CASE("evaluator: what is captured sees the weights of now, and the rest of the set") {
  const ImageSet set = test::tiny_images(35, 1);
  for (const Device device : test::devices()) {
    Classifier classifier = test::tiny_classifier(/*seed=*/1);
    move_to(classifier.model(), device);
    const EvaluationSettings settings{.batch_size = 8};
    REQUIRE(set.size() % settings.batch_size != 0);
    Evaluator evaluator(classifier.model(), set, classifier.normalisation(), settings.batch_size,
                        /*capture=*/true);
    const auto check_same = [&] {
      const Evaluation found = evaluator.run(settings), wanted = classifier.evaluate(set, settings);
      CHECK(found.images == set.size());
      CHECK(found.loss == wanted.loss);
      CHECK(found.accuracy == wanted.accuracy);
      CHECK(found.top5_accuracy == wanted.top5_accuracy);
      return found.loss;
    };
    const double before = check_same();
    named_parameters(classifier.model())[0].variable.value().fill_with_zeros();
    CHECK(check_same() != before);

    int64_t batches = 0;
    EvaluationSettings stopping = settings;
    stopping.should_stop = [&] { return batches++ == 2; };
    CHECK(evaluator.run(stopping).images == 16);
    CHECK(evaluator.run(settings).images == set.size());
  }
}

TEST_CASE("evaluator: the mean logits of an image and its mirror image, by hand, captured or not") {
  const ImageSet set = test::tiny_images(13, 1), turned = mirrored(set);
  for (int64_t i = 0; i < 8 * 3; ++i) {
    CHECK(turned.images.data<uint8_t>()[i] == set.images.data<uint8_t>()[(7 - i / 3) * 3 + i % 3]);
  }
  Classifier classifier = test::tiny_classifier(/*seed=*/1);
  const auto logits_of = [&](const ImageSet& images) {
    const EvaluationMode evaluation_mode(classifier.model());
    std::vector<int64_t> order(13);
    std::iota(order.begin(), order.end(), int64_t{0});
    const Batch batch = make_batch(images, order, classifier.normalisation(), std::nullopt, 1, 0);
    return classifier.model().forward(batch.images).value().to_doubles();
  };
  std::vector<double> mean = logits_of(set);
  const std::vector<double> other = logits_of(turned);
  for (size_t i = 0; i < mean.size(); ++i) mean[i] = (mean[i] + other[i]) / 2;
  const Tensor logits = Tensor::from<double>(mean, {13, 3});
  const double loss = F::softmax_cross_entropy(Variable(logits), set.labels).value().item();
  for (const Device device : test::devices()) {
    move_to(classifier.model(), device);
    for (const bool capture : {false, true}) {
      Evaluator evaluator(classifier.model(), set, classifier.normalisation(), /*batch_size=*/4, capture,
                          /*flip_average=*/true);
      for (int round = 0; round < 2; ++round) {
        const Evaluation found = evaluator.run({.batch_size = 4});
        CHECK(found.loss == Approx(loss).epsilon(1e-5));
        CHECK(found.images == 13);
      }
    }
    const Evaluation whole = classifier.evaluate(set, {.batch_size = 5, .flip_average = true});
    CHECK(whole.loss == Approx(loss).epsilon(1e-5));
    CHECK(classifier.evaluate(set).loss != Approx(loss).epsilon(1e-5));
  }
}

TEST_CASE("evaluator: on_logits gets those of every image, from which loss and accuracy follow") {
  const ImageSet set = test::tiny_images(13, 1);
  for (const Device device : test::devices()) {
    Classifier classifier = test::tiny_classifier(/*seed=*/1);
    move_to(classifier.model(), device);
    std::vector<double> all;
    const auto keep = [&](int64_t first, const Tensor& logits) {
      CHECK(first * 3 == std::ssize(all));
      const std::vector<double> part = logits.to_doubles();
      all.insert(all.end(), part.begin(), part.end());
    };
    const Evaluation found = classifier.evaluate(set, {.batch_size = 4, .on_logits = keep});
    const Tensor logits = Tensor::from<float>(std::vector<float>(all.begin(), all.end()), {13, 3});
    CHECK(static_cast<double>(count_correct(logits, set.labels)) / 13 == found.accuracy);
    CHECK(F::softmax_cross_entropy(Variable(logits), set.labels).value().item() ==
          Approx(found.loss).epsilon(1e-5));
    if (device.is_cpu()) continue;
    Evaluator capturing(classifier.model(), set, classifier.normalisation(), 4, /*capture=*/true);
    CHECK_THROWS_AS(capturing.run({.batch_size = 4, .on_logits = keep}), UsageError);
  }
}

TEST_CASE("evaluator: batches without images are an error") {
  Classifier classifier = test::tiny_classifier(/*seed=*/1);
  const ImageSet set = test::tiny_images(3, 1);
  CHECK_THROWS_AS(Evaluator(classifier.model(), set, classifier.normalisation(), 0, false), UsageError);
}

}  // namespace
}  // namespace fovea
