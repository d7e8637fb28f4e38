// An argument that is undefined is an Error that names the operation and the argument, in every operation.
#include <functional>
#include <string>
#include <vector>

#include "fovea/layers/functional.h"
#include "op_test.h"

using namespace fovea;
using namespace fovea::test;

TEST_CASE("undefined: every operation names itself and the argument") {
  const Variable x = Tensor::full({2, 4, 4, 8}, 1.0), rows = Tensor::full({2, 8}, 1.0);
  const Variable filters = Tensor::full({8, 1, 1, 8}, 1.0), channels = Tensor::full({8}, 1.0);
  const Tensor labels = Tensor::zeros({2}, Dtype::i32);
  Tensor mean = Tensor::zeros({8}), variance = Tensor::full({8}, 1.0);
  const auto norm = [&](bool has_relu, const Variable& of, const Variable& weight, const Variable& bias) {
    return has_relu ? F::batch_norm_relu(of, weight, bias, mean, variance, {})
                    : F::batch_norm(of, weight, bias, mean, variance, {});
  };
  const auto convs = [&](const Variable& of, const Variable& weight, const Variable& bias,
                         const Variable& conv) {
    return F::preactivation_convs(of, {{weight, bias, mean, variance, {}, conv}});
  };
  using V = const Variable&;
  const std::vector<std::pair<std::string, std::function<Variable(V)>>> cases = {
      {"add: a", [&](V u) { return F::add(u, x); }},
      {"add: b", [&](V u) { return F::add(x, u); }},
      {"sub: a", [&](V u) { return F::sub(u, x); }},
      {"sub: b", [&](V u) { return F::sub(x, u); }},
      {"mul: a", [&](V u) { return F::mul(u, x); }},
      {"mul: b", [&](V u) { return F::mul(x, u); }},
      {"scale: x", [&](V u) { return F::scale(u, 2); }},
      {"relu: x", [&](V u) { return F::relu(u); }},
      {"sigmoid: x", [&](V u) { return F::sigmoid(u); }},
      {"dropout: x", [&](V u) { return F::dropout(u, 0.5, Random(1, Purpose::test)); }},
      {"cast: x", [&](V u) { return F::cast(u, Dtype::f64); }},
      {"reshape: x", [&](V u) { return F::reshape(u, {8}); }},
      {"concat: a part",
       [&](V u) {
         return F::concat({u, x}, 0);
       }},
      {"concat: a part",
       [&](V u) {
         return F::concat({x, u}, 0);
       }},
      {"sum: x", [&](V u) { return F::sum(u); }},
      {"sum: x", [&](V u) { return F::sum(u, 0); }},
      {"mean: x", [&](V u) { return F::mean(u); }},
      {"mean: x", [&](V u) { return F::mean(u, 0); }},
      {"matmul: a", [&](V u) { return F::matmul(u, rows); }},
      {"matmul: b", [&](V u) { return F::matmul(rows, u); }},
      {"linear: x", [&](V u) { return F::linear(u, rows, {}); }},
      {"linear: weight", [&](V u) { return F::linear(rows, u, {}); }},
      {"conv: x", [&](V u) { return F::conv(u, filters, {}, 1, 0); }},
      {"conv: weight", [&](V u) { return F::conv(x, u, {}, 1, 0); }},
      {"max_pool: x", [&](V u) { return F::max_pool(u, 2, 2, 0); }},
      {"average_pool: x", [&](V u) { return F::average_pool(u, 2, 2, 0); }},
      {"global_average: x", [&](V u) { return F::global_average(u); }},
      {"upsample: x", [&](V u) { return F::upsample(u, 8, 8); }},
      {"upsample_add: x", [&](V u) { return F::upsample_add(u, x); }},
      {"upsample_add: skip", [&](V u) { return F::upsample_add(x, u); }},
      {"batch_norm: x", [&](V u) { return norm(false, u, channels, channels); }},
      {"batch_norm: weight", [&](V u) { return norm(false, x, u, channels); }},
      {"batch_norm: bias", [&](V u) { return norm(false, x, channels, u); }},
      {"batch_norm_relu: x", [&](V u) { return norm(true, u, channels, channels); }},
      {"batch_norm_relu: weight", [&](V u) { return norm(true, x, u, channels); }},
      {"batch_norm_relu: bias", [&](V u) { return norm(true, x, channels, u); }},
      {"preactivation_convs: x", [&](V u) { return convs(u, channels, channels, filters); }},
      {"preactivation_convs: norm_weight", [&](V u) { return convs(x, u, channels, filters); }},
      {"preactivation_convs: norm_bias", [&](V u) { return convs(x, channels, u, filters); }},
      {"preactivation_convs: weight", [&](V u) { return convs(x, channels, channels, u); }},
      {"channel_norm: x", [&](V u) { return F::channel_norm(u); }},
      {"spatial_norm: x", [&](V u) { return F::spatial_norm(u); }},
      {"attention_merge: m", [&](V u) { return F::attention_merge(u, x); }},
      {"attention_merge: t", [&](V u) { return F::attention_merge(x, u); }},
      {"attention_merge_naive: m", [&](V u) { return F::attention_merge_naive(u, x); }},
      {"attention_merge_naive: t", [&](V u) { return F::attention_merge_naive(x, u); }},
      {"softmax: x", [&](V u) { return F::softmax(u); }},
      {"log_softmax: x", [&](V u) { return F::log_softmax(u); }},
      {"softmax_cross_entropy: logits", [&](V u) { return F::softmax_cross_entropy(u, labels); }},
      {"softmax_cross_entropy_soft: logits",
       [&](V u) { return F::softmax_cross_entropy_soft(u, rows.value()); }},
  };
  for (const auto& [begin, operation] : cases) {
    for (const Variable& undefined : {Variable(), Variable(Tensor())}) {
      INFO(begin);
      CHECK_THROWS_WITH(operation(undefined), begin + " is undefined; wanted a variable that holds a tensor");
    }
  }
  // What may be left out.
  CHECK_NOTHROW(F::conv(x, filters, {}, 1, 0));
  CHECK_NOTHROW(F::linear(rows, rows, {}));
  CHECK_NOTHROW(F::preactivation_convs(x, {{channels, channels, mean, variance, {}, filters}}, {}));
}
