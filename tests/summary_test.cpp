#include "fovea/models/summary.h"

#include <catch2/catch.hpp>

#include "fovea/models/zoo.h"
#include "variants.h"

namespace fovea {
namespace {

/// Small enough to count by hand.
struct TwoLayers : Model {
  explicit TwoLayers(Rng& rng)
      : conv(3, 4, /*kernel=*/3, /*stride=*/2, /*padding=*/1, rng), norm(4), linear(4, 5, rng) {}
  Variable forward(const Variable& x) override {
    const Variable y = norm.forward_relu(conv.forward(x));
    return linear.forward(F::global_average(F::max_pool(y, /*window=*/3, /*stride=*/2, /*padding=*/1)));
  }
  void visit(Visitor& v) override {
    v("conv", conv);
    v("norm", norm);
    v("linear", linear);
  }
  Conv conv;
  BatchNorm norm;
  Linear linear;
};

void check_layer(const LayerSummary& layer, const std::string& path, const std::string& operation,
                 const Shape& output, int64_t parameters, int64_t multiply_adds) {
  INFO(operation << " " << path);
  CHECK(layer.path == path);
  CHECK(layer.operation == operation);
  CHECK(layer.output == output);
  CHECK(layer.parameters == parameters);
  CHECK(layer.multiply_adds == multiply_adds);
  CHECK(layer.activation_bytes == 4 * output.size());
}

TEST_CASE("summary: a small net, counted by hand") {
  Rng rng(/*seed=*/1);
  TwoLayers model(rng);
  const ModelSummary summary = summarise(model, {1, 8, 6, 3});
  REQUIRE(summary.layers.size() == 5);
  check_layer(summary.layers[0], "conv", "conv", {1, 4, 3, 4}, 4 * 9 * 3, 4 * 3 * 4 * 9 * 3);
  check_layer(summary.layers[1], "norm", "batch_norm_relu", {1, 4, 3, 4}, 8, 0);
  check_layer(summary.layers[2], "", "max_pool", {1, 2, 2, 4}, 0, 0);
  check_layer(summary.layers[3], "", "global_average", {1, 4}, 0, 0);
  check_layer(summary.layers[4], "linear", "linear", {1, 5}, 4 * 5 + 5, 4 * 5);
  CHECK(summary.parameters == 108 + 8 + 25);
  CHECK(summary.multiply_adds == 1296 + 20);
  CHECK(summary.activation_bytes == 4 * (48 + 48 + 16 + 4 + 5));
}

TEST_CASE("summary: the parameters of a network's operations are all of its parameters") {
  for (const test::Variant& variant : test::variants()) {
    INFO(variant.name);
    const std::unique_ptr<Model> model = variant.make(/*seed=*/1);
    const ModelSummary summary = summarise(*model, {1, 32, 32, 3});
    int64_t parameters = 0;
    for (const LayerSummary& layer : summary.layers) parameters += layer.parameters;
    CHECK(parameters == summary.parameters);
    CHECK(summary.parameters == parameter_count(*model));
    CHECK(summary.layers.front().path == "stem");
    CHECK(summary.layers.back().path == "linear");
  }
}

TEST_CASE("summary: leaves every module's mode and the running statistics as they were") {
  Rng rng(/*seed=*/1);
  TwoLayers model(rng);
  model.norm.train(false);  // a frozen batch norm in a model that is being trained
  summarise(model, {1, 8, 8, 3});
  CHECK(model.is_training());
  CHECK(model.conv.is_training());
  CHECK_FALSE(model.norm.is_training());
  CHECK(model.norm.running_mean.to_doubles() == std::vector<double>(4, 0.0));
}

TEST_CASE("summary: multiply-adds of a residual unit's convolutions") {
  PreActResNetSettings settings;
  settings.channels = {8};
  settings.units = 1;
  settings.stem = 4;
  settings.classes = 2;
  PreActResNet model(settings, /*seed=*/1);
  const ModelSummary summary = summarise(model, {1, 5, 5, 3});
  // stem 3->4 3x3, reduce 4->2, conv 2->2 3x3, expand 2->8, project 4->8 on 25 positions; linear 8->2
  CHECK(summary.multiply_adds == 25 * (4 * 9 * 3 + 2 * 4 + 2 * 9 * 2 + 8 * 2 + 8 * 4) + 2 * 8);
}

}  // namespace
}  // namespace fovea
