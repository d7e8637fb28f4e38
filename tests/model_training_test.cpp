// Whole training steps of small networks.
#include <catch2/catch.hpp>
#include <map>

#include "fovea/core/parallel_for.h"
#include "fovea/layers/functional.h"
#include "fovea/models/zoo.h"
#include "fovea/training/metrics.h"
#include "fovea/training/optimiser.h"
#include "layer_check.h"
#include "op_test.h"
#include "variants.h"

namespace fovea {
namespace {

/// Loss, gradients and running statistics of one training pass.
std::map<std::string, Tensor> one_step(const test::Variant& variant) {
  const std::unique_ptr<Model> model = variant.make(/*seed=*/1);
  const Tensor images = test::random_tensor({6, 20, 20, 3}, 0);
  const Variable loss =
      F::softmax_cross_entropy(model->forward(images), test::random_labels(6, test::kVariantClasses, 1));
  loss.backward();
  std::map<std::string, Tensor> result{{"loss", loss.value()}};
  for (const NamedParameter& parameter : named_parameters(*model)) {
    result[parameter.path] = parameter.variable.grad();
  }
  for (const NamedBuffer& buffer : named_buffers(*model)) result[buffer.path] = buffer.tensor;
  return result;
}

TEST_CASE("model training: same bits with 1, 2, 3 and 4 threads") {
  const int threads_before = num_threads();
  for (const test::Variant& variant : test::variants()) {
    set_num_threads(1);
    const std::map<std::string, Tensor> wanted = one_step(variant);
    for (const int threads : {1, 2, 3, 4}) {
      set_num_threads(threads);
      const std::map<std::string, Tensor> found = one_step(variant);
      for (const auto& [path, tensor] : wanted) {
        INFO(variant.name << ", " << threads << " threads, " << path);
        CHECK(test::same_bits(found.at(path), tensor));
      }
    }
  }
  set_num_threads(threads_before);
}

/// Takes `steps` steps on one batch and returns the loss before the last.
double overfit(Model& model, const Tensor& images, const Tensor& labels, int steps, double learning_rate) {
  Optimiser optimiser(model, OptimiserSettings{});
  double loss = 0;
  for (int step = 0; step < steps; ++step) {
    const Variable y = F::softmax_cross_entropy(model.forward(images), labels);
    optimiser.zero_grad();
    y.backward();
    optimiser.step(learning_rate);
    loss = y.value().item();
  }
  return loss;
}

TEST_CASE("model training: every variant learns one batch by heart") {
  const int64_t N = 8;
  const Tensor images = test::random_tensor({N, 15, 16, 3}, 0);
  const Tensor labels = test::random_labels(N, test::kVariantClasses, 1);
  for (const test::Variant& variant : test::variants()) {
    INFO(variant.name);
    const std::unique_ptr<Model> model = variant.make(/*seed=*/1);
    const double first = overfit(*model, images, labels, /*steps=*/1, /*learning_rate=*/0.05);
    const double last = overfit(*model, images, labels, /*steps=*/40, /*learning_rate=*/0.05);
    INFO("loss from " << first << " to " << last);
    CHECK(first > 1.0);
    CHECK(last < 0.3);

    model->train(false);  // the running statistics have followed
    CHECK(count_correct(model->forward(images).value(), labels) >= N - 1);
  }
}

TEST_CASE("model training: attention-nano learns a batch of CIFAR's size") {
  const std::unique_ptr<Model> model = make_model("attention-nano", {}, /*seed=*/1);
  const Tensor images = test::random_tensor({16, 32, 32, 3}, 0);
  const Tensor labels = test::random_labels(16, 10, 1);
  const double first = overfit(*model, images, labels, /*steps=*/1, /*learning_rate=*/0.05);
  CHECK(overfit(*model, images, labels, /*steps=*/15, /*learning_rate=*/0.05) < 0.75 * first);
}

TEST_CASE("model training: evaluation changes nothing in the model") {
  for (const test::Variant& variant : test::variants()) {
    INFO(variant.name);
    const std::unique_ptr<Model> model = variant.make(/*seed=*/1);
    model->train(false);
    std::vector<Tensor> before;
    for (const NamedBuffer& buffer : named_buffers(*model)) before.push_back(buffer.tensor.clone());
    const Tensor images = test::random_tensor({2, 20, 20, 3}, 0);
    const Tensor first = model->forward(images).value();
    CHECK(test::same_bits(model->forward(images).value(), first));
    const std::vector<NamedBuffer> after = named_buffers(*model);
    for (size_t i = 0; i < after.size(); ++i) CHECK(test::same_bits(after[i].tensor, before[i]));
  }
}

}  // namespace
}  // namespace fovea
