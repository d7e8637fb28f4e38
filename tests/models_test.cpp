#include <catch2/catch.hpp>
#include <set>

#include "fovea/kernels/cast.h"
#include "fovea/layers/functional.h"
#include "fovea/models/zoo.h"
#include "fovea/training/precision.h"
#include "layer_check.h"
#include "op_test.h"
#include "variants.h"

namespace fovea {
namespace {

std::string message_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const UsageError& error) {
    return error.what();
  }
  return "no UsageError";
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

struct Count {
  const char* name;
  int64_t parameters;
};
// For 10 classes, the ImageNet forms for 1000.
constexpr Count kCounts[] = {
    {"attention-nano", 262618},         {"attention56", 1030362},       {"attention92", 1841242},
    {"attention128", 2652122},          {"attention164", 3463002},      {"attention236", 5084762},
    {"attention452", 10181210},         {"attention92-wide", 12170730}, {"attention56-imagenet", 31810728},
    {"attention92-imagenet", 52466344}, {"preact-resnet164", 1703258},
};

TEST_CASE("models: number of parameters") {
  std::vector<std::string> names;
  for (const Count& count : kCounts) {
    INFO(count.name);
    const std::unique_ptr<Model> model = make_model(count.name, {}, /*seed=*/1);
    CHECK(parameter_count(*model) == count.parameters);
    names.emplace_back(count.name);
  }
  CHECK(model_names() == names);
}

TEST_CASE("models: every parameter and buffer has a name of its own") {
  for (const char* name : {"attention92", "attention92-wide", "preact-resnet164"}) {
    const std::unique_ptr<Model> model = make_model(name, {}, /*seed=*/1);
    std::set<std::string> paths;
    size_t count = 0;
    for (const NamedParameter& parameter : named_parameters(*model)) {
      paths.insert(parameter.path);
      CHECK(parameter.variable.requires_grad());
      ++count;
    }
    for (const NamedBuffer& buffer : named_buffers(*model)) {
      paths.insert(buffer.path);
      ++count;
    }
    CHECK(paths.size() == count);
    CHECK(paths.contains("linear.bias"));
  }
}

TEST_CASE("models: a path says where the parameter is") {
  const std::unique_ptr<Model> model = make_model("attention92", {}, /*seed=*/1);
  std::set<std::string> paths;
  for (const NamedParameter& parameter : named_parameters(*model)) paths.insert(parameter.path);
  for (const char* path : {"stem.weight", "stages.0.modules.1.trunk.0.reduce.weight",
                           "stages.0.modules.0.mask.skip.1.norm3.bias", "stages.1.unit.project.weight",
                           "stages.2.closing.expand.weight", "norm.weight", "linear.weight"}) {
    CHECK(paths.contains(path));
  }
}

TEST_CASE("models: the seed decides the initial values") {
  const auto first_weights = [](uint64_t seed) {
    return named_parameters(*make_model("attention-nano", {}, seed))[0].variable.value();
  };
  CHECK(test::same_bits(first_weights(1), first_weights(1)));
  CHECK_FALSE(test::same_bits(first_weights(1), first_weights(2)));
}

TEST_CASE("models: options change the settings of a name") {
  ModelOptions options;
  options.classes = 100;
  options.p = 2;
  options.t = 3;
  options.r = 4;
  options.attention = Attention::spatial;
  options.merge = Merge::naive;
  options.mask = MaskKind::local;
  options.extra_adds = true;
  options.input_size = 64;
  const ResidualAttentionSettings s = residual_attention_settings("attention92", options);
  CHECK(s.classes == 100);
  CHECK(s.p == 2);
  CHECK(s.t == 3);
  CHECK(s.r == 4);
  CHECK(s.attention == Attention::spatial);
  CHECK(s.merge == Merge::naive);
  CHECK(s.mask == MaskKind::local);
  CHECK(s.extra_adds);
  CHECK(s.modules == std::vector<int64_t>{2, 2, 2});
  CHECK(model_input_size("attention92", options) == 64);
  CHECK(model_input_size("attention56-imagenet") == 224);
  CHECK(residual_attention_settings("attention56-imagenet").classes == 1000);
  CHECK(residual_attention_settings("attention92-wide").extra_adds);

  ModelOptions hundred;
  hundred.classes = 100;
  CHECK(parameter_count(*make_model("preact-resnet164", hundred, /*seed=*/1)) == 1703258 + 90 * 257);
}

TEST_CASE("models: an unknown name is answered with the nearest") {
  const auto ask = [](const std::string& name) {
    return message_of([&] { make_model(name, {}, /*seed=*/1); });
  };
  CHECK(contains(ask("atention92"), "did you mean attention92?"));
  CHECK(contains(ask("attention92_wide"), "did you mean attention92-wide?"));
  CHECK(contains(ask("resnet164"), "did you mean preact-resnet164?"));
  CHECK(contains(ask(""), "attention-nano"));
}

TEST_CASE("models: the baseline has no attention to change") {
  ModelOptions options;
  options.attention = Attention::channel;
  CHECK(contains(message_of([&] { make_model("preact-resnet164", options, 1); }), "no attention modules"));
  CHECK(contains(message_of([&] { residual_attention_settings("preact-resnet164"); }), "not a Residual"));
}

TEST_CASE("models: settings that make no sense are named") {
  ResidualAttentionSettings two_modules, no_classes, odd;
  two_modules.modules = {1, 1};
  no_classes.classes = 0;
  odd.channels = {64, 126, 256};
  test::check_error("ResidualAttentionNetwork", [&] { ResidualAttentionNetwork(two_modules, 1); });
  test::check_error("ResidualAttentionNetwork", [&] { ResidualAttentionNetwork(no_classes, 1); });
  test::check_error("ResidualUnit", [&] { ResidualAttentionNetwork(odd, 1); });
  PreActResNetSettings no_stages;
  no_stages.channels = {};
  test::check_error("PreActResNet", [&] { PreActResNet(no_stages, 1); });
}

TEST_CASE("models: the smallest input has two rows before every halving") {
  CHECK(smallest_input(residual_attention_settings("attention92")) == 5);
  CHECK(smallest_input(residual_attention_settings("attention92-wide")) == 3);
  CHECK(smallest_input(residual_attention_settings("attention56-imagenet")) == 17);
  CHECK(smallest_input(PreActResNetSettings{}) == 3);
  ResidualAttentionSettings s;
  s.mask = MaskKind::local;
  CHECK(smallest_input(s) == 3);

  ModelOptions options;
  options.input_size = 4;
  CHECK(contains(message_of([&] { make_model("attention92", options, 1); }), "the smallest is 5"));
  options.input_size = 5;
  CHECK_NOTHROW(make_model("attention92", options, 1));
  options.input_size = 2;
  CHECK(contains(message_of([&] { make_model("preact-resnet164", options, 1); }), "the smallest is 3"));
}

TEST_CASE("models: images that do not fit are named") {
  for (const test::Variant& variant : test::variants()) {
    INFO(variant.name);
    const std::unique_ptr<Model> model = variant.make(/*seed=*/1);
    const auto ask = [&](const Shape& shape) { model->forward(Tensor::zeros(shape)); };
    const int64_t size = variant.smallest_input;
    CHECK(contains(message_of([&] {
                     ask({2, size, size - 1, 3});
                   }),
                   "the smallest is " + std::to_string(size)));
    CHECK_THROWS_AS(ask({2, 32, 32, 4}), Error);
    CHECK_THROWS_AS(ask({2, 32, 32}), Error);
  }
}

TEST_CASE("models: every variant passes odd batches and sizes forward and backward") {
  for (const test::Variant& variant : test::variants()) {
    const int64_t smallest = variant.smallest_input;
    for (const Shape& shape :
         {Shape{3, smallest, smallest, 3}, Shape{2, 17, smallest + 2, 3}, Shape{5, 19, 18, 3}}) {
      INFO(variant.name << " " << shape);
      const std::unique_ptr<Model> model = variant.make(/*seed=*/1);
      const Variable logits = model->forward(test::random_tensor(shape, 0));
      REQUIRE(logits.shape() == Shape{shape[0], test::kVariantClasses});
      const Variable loss =
          F::softmax_cross_entropy(logits, test::random_labels(shape[0], test::kVariantClasses, 1));
      loss.backward();
      CHECK(std::isfinite(loss.value().item()));
      for (const NamedParameter& parameter : named_parameters(*model)) {
        INFO(parameter.path);
        REQUIRE(parameter.variable.grad().defined());
        double sum = 0;
        for (const double number : parameter.variable.grad().to_doubles()) sum += std::abs(number);
        CHECK(std::isfinite(sum));
      }
    }
  }
}

TEST_CASE("models: in bf16 logits and gradients are near those of f32") {
  for (const char* name : {"attention56", "attention92-wide", "preact-resnet164"}) {
    INFO(name);
    std::vector<Tensor> logits, gradients;
    for (const Precision precision : {Precision::f32, Precision::bf16}) {
      const std::unique_ptr<Model> model = make_model(name, {}, /*seed=*/1);
      set_precision(*model, precision);
      const Tensor images = test::random_tensor({4, 32, 32, 3}, 0);
      Tensor input = Tensor::empty(images.shape(), activation_dtype(precision));
      kernels::cast_forward(images, input);
      const Variable y = model->forward(input);  // in training: with the moments of the batch
      REQUIRE(y.dtype() == activation_dtype(precision));
      F::softmax_cross_entropy(y, test::random_labels(4, 10, 1)).backward();
      logits.push_back(y.value());
      gradients.push_back(named_parameters(*model).back().variable.grad());  // of the classifier's bias
    }
    // As far as PyTorch's autocast: 0.03 for attention56, 0.13 for preact-resnet164. (The stem's gradient is
    // no measure: behind so many layers that have not learnt yet, PyTorch's own are at a distance of 1
    // and 1.4.)
    CHECK(test::relative_distance(logits[1], logits[0]) < 0.2);
    CHECK(test::relative_distance(gradients[1], gradients[0]) < 0.2);
  }
}

TEST_CASE("models: an image's logits do not depend on its batch in evaluation") {
  for (const test::Variant& variant : test::variants()) {
    INFO(variant.name);
    const std::unique_ptr<Model> model = variant.make(/*seed=*/1);
    const Tensor images = test::random_tensor({3, 20, 20, 3}, 0);
    const auto last_logits = [&](const Tensor& batch) {
      const Tensor y = model->forward(batch).value();
      return y.slice(y.size() - test::kVariantClasses, {test::kVariantClasses});
    };
    const Tensor alone = images.slice(2 * 20 * 20 * 3, {1, 20, 20, 3});
    model->train(false);
    CHECK(test::relative_distance(last_logits(alone), last_logits(images)) < 1e-5);
    model->train();
    CHECK(test::relative_distance(last_logits(images.slice(20 * 20 * 3, {2, 20, 20, 3})),
                                  last_logits(images)) > 1e-3);
  }
}

}  // namespace
}  // namespace fovea
