#include "fovea/core/ranks.h"

#include <catch2/catch.hpp>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "fovea/core/random.h"
#include "fovea/kernels/arithmetic.h"
#include "fovea/layers/functional.h"
#include "fovea/models/zoo.h"
#include "op_test.h"
#include "thread_ranks.h"
#include "variants.h"

using namespace fovea;
using namespace fovea::test;

namespace {

constexpr int64_t kImages = 16;

/// What a training step has computed, by name.
using Numbers = std::map<std::string, Tensor>;

/// Forward and backward pass of this rank's share of a batch, or of all of it without ranks; loss, gradients
/// and running statistics of the whole batch.
Numbers step_of(Model& model, const Tensor& images, const Tensor& labels, Ranks* ranks) {
  const int64_t shares = ranks == nullptr ? 1 : ranks->size(), N = images.shape(0) / shares,
                first = ranks == nullptr ? 0 : ranks->rank() * N, image = images.size() / images.shape(0);
  const Shape& shape = images.shape();
  model.train();
  const Variable loss =
      F::softmax_cross_entropy(model.forward(images.slice(first * image, {N, shape[1], shape[2], shape[3]})),
                               labels.slice(first, {N}), /*smoothing=*/0.1);
  const double share = 1.0 / static_cast<double>(shares);
  loss.backward(Tensor::full({}, share, loss.dtype()));
  Numbers numbers{{"loss", loss.value().clone()}};
  for (const NamedParameter& parameter : named_parameters(model)) {
    numbers[parameter.path] = parameter.variable.grad().clone();
  }
  if (ranks != nullptr) {
    kernels::scale_forward(numbers["loss"], share, numbers["loss"]);
    for (auto& [name, tensor] : numbers) ranks->sum(tensor);
  }
  for (const NamedBuffer& buffer : named_buffers(model)) numbers[buffer.path] = buffer.tensor.clone();
  return numbers;
}

using Make = std::function<std::unique_ptr<Model>()>;

void check_same_bits(const Make& make, int64_t input_size, int64_t classes) {
  const Tensor images = normal({kImages, input_size, input_size, 3}, Random(5, Purpose::test));
  std::vector<int32_t> classes_of;
  for (int64_t n = 0; n < kImages; ++n) classes_of.push_back(static_cast<int32_t>(n * 7 % classes));
  const Tensor labels = Tensor::from<int32_t>(classes_of, {kImages});
  const Numbers wanted = step_of(*make(), images, labels, nullptr);
  for (const int size : {1, 2, 4, 8}) {
    std::vector<Numbers> found(static_cast<size_t>(size));
    ThreadRanks::run(size, [&](Ranks& ranks) {
      const SharedBatch shared(&ranks, /*joins_statistics=*/true);
      found[static_cast<size_t>(ranks.rank())] = step_of(*make(), images, labels, &ranks);
    });
    for (const Numbers& numbers : found) {
      std::string differing;
      for (const auto& [name, tensor] : wanted) {
        if (!same_bits(numbers.at(name), tensor)) differing += " " + name;
      }
      INFO(size << " ranks");
      CHECK(differing == "");
    }
  }
}

}  // namespace

TEST_CASE("ranks: loss, gradients and running statistics have the same bits for 1, 2, 4 and 8 ranks") {
  for (const Variant& variant : variants()) {
    INFO(variant.name);
    check_same_bits([&] { return variant.make(/*seed=*/1); }, variant.smallest_input, kVariantClasses);
  }
}

TEST_CASE("ranks: networks of the zoo, for 1, 2, 4 and 8 ranks", "[zoo]") {
  for (const char* const name : {"attention-nano", "attention56", "preact-resnet164"}) {
    INFO(name);
    check_same_bits([&] { return make_model(name, {}, /*seed=*/1); }, /*input_size=*/32, /*classes=*/10);
  }
}

TEST_CASE("ranks: statistics of each share alone, where they are not joined") {
  const Tensor x = normal({8, 2, 2, 3}, Random(5, Purpose::test));
  const auto norm = [](const Tensor& images) {
    Tensor mean = Tensor::zeros({3}), variance = Tensor::zeros({3});
    return F::batch_norm(images, Tensor::full({3}, 1.0), Tensor::zeros({3}), mean, variance, {}).value();
  };
  std::vector<Tensor> found(2);
  ThreadRanks::run(2, [&](Ranks& ranks) {
    const SharedBatch shared(&ranks, /*joins_statistics=*/false);
    found[static_cast<size_t>(ranks.rank())] = norm(x.slice(ranks.rank() * 48, {4, 2, 2, 3}));
  });
  for (int64_t rank = 0; rank < 2; ++rank) {
    check_near(found[static_cast<size_t>(rank)], norm(x.slice(rank * 48, {4, 2, 2, 3})), 1e-6);
  }
}

TEST_CASE("ranks: inside a share of a batch, another can be computed as a whole") {
  std::vector<int> found(4);
  ThreadRanks::run(4, [&](Ranks& ranks) {
    const SharedBatch shared(&ranks, /*joins_statistics=*/true);
    bool is_right = batch_groups() == 2 && ranks_of_statistics() == &ranks;
    {
      const SharedBatch alone(nullptr, /*joins_statistics=*/true);
      is_right = is_right && batch_groups() == kBatchGroups && ranks_of_statistics() == nullptr;
    }
    is_right = is_right && batch_groups() == 2 && ranks_of_statistics() == &ranks;
    found[static_cast<size_t>(ranks.rank())] = is_right;
  });
  CHECK(found == std::vector<int>{1, 1, 1, 1});
}

TEST_CASE("ranks: of another number each share is summed up in as many whole groups as there are") {
  for (const int size : {3, 5, 16}) {
    std::vector<int64_t> found(static_cast<size_t>(size));
    ThreadRanks::run(size, [&](Ranks& ranks) {
      const SharedBatch shared(&ranks, /*joins_statistics=*/true);
      found[static_cast<size_t>(ranks.rank())] = batch_groups();
    });
    CHECK(found == std::vector<int64_t>(static_cast<size_t>(size), std::max(1, 8 / size)));
  }
}
