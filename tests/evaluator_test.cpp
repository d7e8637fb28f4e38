#include "fovea/training/evaluator.h"

#include <catch2/catch.hpp>

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

TEST_CASE("evaluator: batches without images are an error") {
  Classifier classifier = test::tiny_classifier(/*seed=*/1);
  const ImageSet set = test::tiny_images(3, 1);
  CHECK_THROWS_AS(Evaluator(classifier.model(), set, classifier.normalisation(), 0, false), UsageError);
}

}  // namespace
}  // namespace fovea
