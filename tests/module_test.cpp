#include "fovea/layers/module.h"

#include <catch2/catch.hpp>
#include <type_traits>

#include "fovea/layers/linear.h"
#include "fovea/layers/norm.h"
#include "fovea/layers/sequential.h"

namespace fovea {
namespace {

/// Has every kind of field that a visitor meets.
struct Nest : Module {
  explicit Nest(Rng& rng) : head(/*C=*/2, /*K=*/3, rng), owned(std::make_unique<BatchNorm>(6)) {
    blocks.emplace_back(4);
    blocks.emplace_back(5);
    chain.add(Linear(/*C=*/2, /*K=*/2, rng));
  }
  void visit(Visitor& v) override {
    v("scale", scale);
    v("undefined", undefined);
    v("counter", counter);
    v("head", head);
    v("blocks", blocks);
    v("chain", chain);
    v("owned", owned);
    v("present", present);
    v("absent", absent);
  }

  Variable scale{Tensor::full({7}, 2.0), /*requires_grad=*/true}, undefined;
  Tensor counter = Tensor::zeros({1});
  Linear head;
  std::vector<BatchNorm> blocks;
  Sequential<Linear> chain;
  std::unique_ptr<BatchNorm> owned;
  std::optional<BatchNorm> present{8}, absent;
};

Nest make_nest() {
  Rng rng(/*seed=*/1);
  return Nest(rng);
}

TEST_CASE("module: parameters have the paths of their fields, in order") {
  Nest nest = make_nest();
  std::vector<std::string> paths;
  int64_t count = 0;
  for (const NamedParameter& parameter : named_parameters(nest)) {
    paths.push_back(parameter.path);
    count += parameter.variable.value().size();
  }
  CHECK(paths == std::vector<std::string>{"scale", "head.weight", "head.bias", "blocks.0.weight",
                                          "blocks.0.bias", "blocks.1.weight", "blocks.1.bias",
                                          "chain.0.weight", "chain.0.bias", "owned.weight", "owned.bias",
                                          "present.weight", "present.bias"});
  CHECK(count == 7 + (6 + 3) + (4 + 4) + (5 + 5) + (4 + 2) + (6 + 6) + (8 + 8));
  CHECK(parameter_count(nest) == count);
}

TEST_CASE("module: buffers have paths and share their storage") {
  Nest nest = make_nest();
  const std::vector<NamedBuffer> buffers = named_buffers(nest);
  REQUIRE(buffers.size() == 9);
  CHECK(buffers[0].path == "counter");
  CHECK(buffers[1].path == "blocks.0.running_mean");
  CHECK(buffers[8].path == "present.running_variance");
  NamedBuffer counter = buffers[0];
  counter.tensor.data<float>()[0] = 3;
  CHECK(nest.counter.item() == 3);
}

TEST_CASE("module: train reaches every module inside") {
  Nest nest = make_nest();
  const auto count_training = [&] {
    int count = 0;
    for_each_module(nest, [&](const std::string&, Module& module) { count += module.is_training() ? 1 : 0; });
    return count;
  };
  CHECK(count_training() == 8);
  nest.train(false);
  CHECK(count_training() == 0);
  nest.blocks[1].train();
  CHECK(count_training() == 1);
}

TEST_CASE("module: every module is met once, under its path") {
  Nest nest = make_nest();
  std::vector<std::string> paths;
  for_each_module(nest, [&](const std::string& path, Module&) { paths.push_back(path); });
  CHECK(paths ==
        std::vector<std::string>{"", "head", "blocks.0", "blocks.1", "chain", "chain.0", "owned", "present"});
}

TEST_CASE("module: converting keeps the variables and changes the numbers' type") {
  Nest nest = make_nest();
  const Variable weight = nest.head.weight;
  const double before = weight.value().to_doubles()[0];
  convert_to(nest, Dtype::f64);
  CHECK(nest.head.weight.same_as(weight));
  CHECK(weight.dtype() == Dtype::f64);
  CHECK(weight.value().to_doubles()[0] == before);
  CHECK(nest.present->running_mean.dtype() == Dtype::f64);
}

TEST_CASE("module: a copy would tie weights, so there is none") {
  STATIC_REQUIRE_FALSE(std::is_copy_constructible_v<Nest>);
  STATIC_REQUIRE_FALSE(std::is_copy_assignable_v<BatchNorm>);
  STATIC_REQUIRE(std::is_move_constructible_v<Nest>);
}

}  // namespace
}  // namespace fovea
