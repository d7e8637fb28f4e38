// What may be called from several threads at once gives the bits of one call after the other. Built with
// -fsanitize=thread (preset tsan), it shows that nothing is written that another thread reads.
#include <atomic>
#include <catch2/catch.hpp>
#include <functional>
#include <optional>
#include <thread>
#include <vector>

#include "fovea/core/parallel_for.h"
#include "fovea/layers/functional.h"
#include "op_test.h"
#include "tiny_classifier.h"

namespace fovea {
namespace {

constexpr int kThreads = 6, kRounds = 5;

/// Calls body(0), ..., body(kThreads - 1), each on a thread of its own, all begun before the first goes on.
/// Catch2's macros are for one thread: `body` returns whether all was right.
void check_on_threads(const std::function<bool(int)>& body) {
  std::atomic<int> waiting{kThreads}, right{0};
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      --waiting;
      while (waiting > 0) std::this_thread::yield();
      right += body(thread) ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(right == kThreads);
}

std::vector<Tensor> copies_of(const std::vector<NamedTensor>& tensors) {
  std::vector<Tensor> result;
  for (const NamedTensor& entry : tensors) result.push_back(entry.tensor.clone());
  return result;
}

void check_unchanged(const std::vector<NamedTensor>& tensors, const std::vector<Tensor>& before) {
  REQUIRE(tensors.size() == before.size());
  for (size_t i = 0; i < before.size(); ++i) {
    INFO(tensors[i].name);
    CHECK(test::same_bits(tensors[i].tensor, before[i]));
  }
}

/// A classifier that has trained: its running statistics are not those of the batches.
Classifier trained_classifier(uint64_t seed) {
  Classifier classifier = test::tiny_classifier(seed);
  classifier.train(test::tiny_images(35, 1), test::tiny_settings());
  return classifier;
}

TEST_CASE("threads: a classifier that several threads use gives the same bits, and stays as it is") {
  const Classifier classifier = trained_classifier(1);
  const ImageSet data = test::tiny_images(29, 3);
  const EvaluationSettings settings{.batch_size = 8};
  const Tensor wanted = classifier.predict_probabilities(data.images, settings);
  const Evaluation evaluation = classifier.evaluate(data, settings);
  const std::vector<Tensor> before = copies_of(classifier.checkpoint().model);
  check_on_threads([&](int thread) {
    bool is_right = true;
    for (int round = 0; round < kRounds; ++round) {
      if ((thread + round) % 3 == 0) {
        const Evaluation found = classifier.evaluate(data, settings);
        is_right = is_right && found.loss == evaluation.loss && found.accuracy == evaluation.accuracy;
      } else {
        is_right =
            is_right && test::same_bits(classifier.predict_probabilities(data.images, settings), wanted);
      }
    }
    return is_right;
  });
  check_unchanged(classifier.checkpoint().model, before);
  CHECK(test::same_bits(classifier.predict_probabilities(data.images, settings), wanted));
}

TEST_CASE("threads: a model's forward pass in evaluation") {
  Classifier classifier = trained_classifier(1);
  Model& model = classifier.model();
  const Tensor x = uniform({5, 8, 8, 3}, Random(3, Purpose::test), -1, 1);
  model.train(false);
  const Tensor wanted = model.forward(x).value();
  const std::vector<Tensor> before = copies_of(classifier.checkpoint().model);
  SECTION("with history") {
    check_on_threads([&](int) { return test::same_bits(model.forward(x).value(), wanted); });
  }
  SECTION("each thread with an EvaluationMode of its own") {
    model.train(true);
    check_on_threads([&](int) {
      const EvaluationMode evaluation(model);
      const NoGrad no_grad;
      return test::same_bits(model.forward(x).value(), wanted);
    });
    CHECK(model.is_training());
  }
  check_unchanged(classifier.checkpoint().model, before);
}

TEST_CASE("threads: EvaluationMode is of its thread and its module alone") {
  test::TinyModel model(1), other(2);
  const EvaluationMode evaluation(model);
  CHECK_FALSE(model.is_training());
  CHECK_FALSE(model.unit.reduce.is_training());
  CHECK(other.is_training());
  bool is_training_elsewhere = false;
  std::thread([&] { is_training_elsewhere = model.is_training() && model.norm.is_training(); }).join();
  CHECK(is_training_elsewhere);
  {
    const EvaluationMode inner(model.norm);
    CHECK_FALSE(model.norm.is_training());
  }
  CHECK_FALSE(model.norm.is_training());
}

TEST_CASE("threads: EvaluationModes may end in any order") {
  test::TinyModel first(1), second(2);
  std::optional<EvaluationMode> outer(std::in_place, first), inner(std::in_place, second);
  outer.reset();
  CHECK(first.is_training());
  CHECK_FALSE(second.is_training());
  inner.reset();
  CHECK(second.is_training());
}

TEST_CASE("threads: operations on shared inputs, each thread with gradients of its own") {
  const Variable images(uniform({4, 8, 8, 8}, Random(5, Purpose::test), -1, 1));
  const Tensor filters = uniform({8, 3, 3, 8}, Random(6, Purpose::test), -1, 1);
  const auto gradient = [&] {
    const Variable weight(filters, true);
    const Variable y = F::relu(F::conv(images, weight, {}, /*stride=*/1, /*padding=*/1));
    F::mean(F::mul(y, y)).backward();
    return weight.grad();
  };
  const Tensor wanted = gradient();
  check_on_threads([&](int) { return test::same_bits(gradient(), wanted); });
}

TEST_CASE("threads: classifiers of their own may be trained at once") {
  const ImageSet train = test::tiny_images(35, 1), evaluation_set = test::tiny_images(13, 2);
  const auto weights_after = [&](int seed) {
    Classifier classifier = test::tiny_classifier(static_cast<uint64_t>(seed));
    classifier.train(train, test::tiny_settings(), &evaluation_set);
    return copies_of(classifier.checkpoint().model);
  };
  std::vector<std::vector<Tensor>> wanted;
  for (int thread = 0; thread < kThreads; ++thread) wanted.push_back(weights_after(thread));
  check_on_threads([&](int thread) {
    const std::vector<Tensor> found = weights_after(thread);
    bool is_right = true;
    for (size_t i = 0; i < found.size(); ++i) {
      is_right = is_right && test::same_bits(found[i], wanted[static_cast<size_t>(thread)][i]);
    }
    return is_right;
  });
}

}  // namespace
}  // namespace fovea
