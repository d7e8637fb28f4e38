#include "fovea/layers/attention_module.h"

#include <catch2/catch.hpp>

#include "layer_check.h"
#include "op_test.h"

namespace fovea {
namespace {

AttentionModule make_module(const AttentionSettings& settings) {
  Rng rng(/*seed=*/9);
  AttentionModule module(/*C=*/8, /*mask_depth=*/1, settings, rng);
  convert_to(module, Dtype::f64);
  return module;
}

/// Equations 4 to 6, then 3 or 1, by the plain operations.
Variable unfused(AttentionModule& module, const AttentionSettings& settings, const Variable& x) {
  const Variable y = module.before.forward(x);
  const Variable t = module.trunk.forward(y);
  const Variable logits = module.mask.forward(y, t);
  Variable mask;
  switch (settings.attention) {
    case Attention::mixed: mask = F::sigmoid(logits); break;
    case Attention::channel: mask = F::channel_norm(logits); break;
    case Attention::spatial: mask = F::sigmoid(F::spatial_norm(logits)); break;
  }
  if (settings.merge == Merge::residual) {
    mask = F::add(mask, Tensor::full(mask.shape(), 1.0, mask.dtype()));
  }
  return module.after.forward(F::mul(mask, t));
}

TEST_CASE("attention module: every attention and merge is the composition of its parts") {
  const Variable x = test::random_tensor({3, 5, 4, 8}, 0, Dtype::f64);
  for (const Attention attention : {Attention::mixed, Attention::channel, Attention::spatial}) {
    for (const Merge merge : {Merge::residual, Merge::naive}) {
      INFO(name_of(attention) << ", " << name_of(merge));
      AttentionSettings settings;
      settings.attention = attention;
      settings.merge = merge;
      AttentionModule module = make_module(settings);
      const Variable y = module.forward(x);
      CHECK(y.shape() == x.shape());
      CHECK(test::relative_distance(y.value(), unfused(module, settings, x).value()) < 1e-13);
    }
  }
}

TEST_CASE("attention module: a mixed mask is never stored") {
  AttentionModule module = make_module({});
  std::vector<std::string> merges;
  const OperationObserver observer([&](std::string_view name, const Tensor&, std::span<const Variable>) {
    if (name == "sigmoid" || name == "mul" || name.starts_with("attention")) merges.emplace_back(name);
  });
  module.forward(test::random_tensor({2, 4, 4, 8}, 0, Dtype::f64));
  CHECK(merges == std::vector<std::string>{"attention_merge"});
}

TEST_CASE("attention module: p, t and r count the units") {
  AttentionSettings settings;
  settings.p = 2;
  settings.t = 4;
  settings.r = 3;
  AttentionModule module = make_module(settings);
  CHECK(module.before.layers.size() == 2);
  CHECK(module.trunk.layers.size() == 4);
  CHECK(module.mask.middle.layers.size() == 6);
  CHECK(module.after.layers.size() == 2);
}

TEST_CASE("attention module: gradient") {
  for (const Attention attention : {Attention::mixed, Attention::channel, Attention::spatial}) {
    for (const Merge merge : {Merge::residual, Merge::naive}) {
      INFO(name_of(attention) << ", " << name_of(merge));
      AttentionSettings settings;
      settings.t = 1;
      settings.attention = attention;
      settings.merge = merge;
      AttentionModule module = make_module(settings);
      test::check_layer_gradient(module, [&](const Variable& x) { return module.forward(x); }, {3, 4, 3, 8});
    }
  }
}

TEST_CASE("attention module: settings that make no sense are named") {
  AttentionSettings no_trunk, negative;
  no_trunk.t = 0;
  negative.p = -1;
  test::check_error("AttentionModule", [&] { make_module(no_trunk); });
  test::check_error("AttentionModule", [&] { make_module(negative); });
}

TEST_CASE("attention module: settings have names") {
  for (const char* name : {"mixed", "channel", "spatial"}) {
    CHECK(std::string(name_of(parse_enum<Attention>(name))) == name);
  }
  for (const char* name : {"residual", "naive"}) CHECK(std::string(name_of(parse_enum<Merge>(name))) == name);
  CHECK_THROWS_AS(parse_enum<Attention>("mix"), UsageError);
  CHECK_THROWS_AS(parse_enum<Merge>(""), UsageError);
}

}  // namespace
}  // namespace fovea
