#include "fovea/kernels/preactivation_conv.h"

#include <algorithm>
#include <cmath>

#include "fovea/core/allocator.h"
#include "fovea/core/device_dtype.h"
#include "fovea/layers/functional.h"
#include "fovea/layers/functional/moments.h"
#include "fovea/layers/norm.h"
#include "op_test.h"

using namespace fovea;
using namespace fovea::test;

namespace {

enum class Added { nothing, x, other };

/// One case: the extents of x, and K, window and stride of every stage.
struct Chain {
  Shape x;
  struct Stage {
    int64_t K, window, stride;
  };
  std::vector<Stage> stages;
  Added added = Added::nothing;
  bool training = true;
  bool tame = false;  // relus after the first are passed by everything: 16-bit rounding cannot switch them

  Shape result() const {
    Shape shape = x;
    for (const Stage& s : stages) {
      const int64_t padding = s.window / 2;
      shape = {shape[0], (shape[1] + 2 * padding - s.window) / s.stride + 1,
               (shape[2] + 2 * padding - s.window) / s.stride + 1, s.K};
    }
    return shape;
  }
  std::vector<Input> inputs() const {
    std::vector<Input> result{{x}};
    int64_t C = x[3];
    for (const Stage& s : stages) {
      result.push_back({{C}, Fill::positive, true, /*stays_f32=*/true});
      result.push_back({{C}, Fill::normal, true, true});
      result.push_back({{s.K, s.window, s.window, C}});
      C = s.K;
    }
    if (added == Added::other) result.push_back({this->result()});
    return result;
  }
  std::string str() const {
    std::string text = x.str();
    for (const Stage& s : stages) text += fovea::str(" -> ", s.K, " by ", s.window, "/", s.stride);
    return fovea::str(text, ", added: ", static_cast<int>(added), training ? "" : ", not training");
  }
};

/// The stages with fresh running statistics: mean 0.1, variance 1.5.
std::vector<F::PreactivationConv> convs_of(const Chain& chain, const Inputs& in) {
  std::vector<F::PreactivationConv> convs;
  for (size_t i = 0; i < chain.stages.size(); ++i) {
    Variable norm_weight = in[1 + 3 * i], norm_bias = in[2 + 3 * i];
    if (chain.tame && i > 0) {
      const Tensor offset =
          Tensor::full(norm_bias.shape(), 1.5, norm_bias.dtype(), norm_bias.value().device());
      norm_weight = F::scale(norm_weight, chain.training ? 0.2 : 0.02);  // constants do not normalise
      norm_bias = F::add(F::scale(norm_bias, 0.2), offset);
    }
    const auto filled = [&](double value) {
      return Tensor::full(norm_weight.shape(), value, norm_weight.dtype(), in[0].value().device());
    };
    convs.push_back({norm_weight,
                     norm_bias,
                     filled(0.1),
                     filled(1.5),
                     {.training = chain.training},
                     in[3 + 3 * i],
                     chain.stages[i].stride,
                     chain.stages[i].window / 2});
  }
  return convs;
}

Variable added_to(const Chain& chain, const Inputs& in) {
  return chain.added == Added::nothing ? Variable() : chain.added == Added::x ? in[0] : in.back();
}

Variable fused(const Chain& chain, const Inputs& in) {
  return F::preactivation_convs(in[0], convs_of(chain, in), added_to(chain, in));
}

Variable unfused(const Chain& chain, const Inputs& in) {
  Variable y = in[0];
  for (F::PreactivationConv& conv : convs_of(chain, in)) {
    const Variable a = F::relu(F::batch_norm(y, conv.norm_weight, conv.norm_bias, conv.running_mean,
                                             conv.running_variance, conv.settings));
    y = F::conv(a, conv.weight, {}, conv.stride, conv.padding);
  }
  const Variable added = added_to(chain, in);
  return added.defined() ? F::add(y, added) : y;
}

/// 16 channels and whole vectors in a row: the fused form of the CPU; 1x1 of 8 channels: that of a GPU, in
/// tiles of 64 rows, and of 32, 64 or 128 channels; the others: the composed one.
std::vector<Chain> chains() {
  return {
      {{2, 3, 3, 3}, {{5, 1, 1}}},
      {{2, 4, 5, 4}, {{3, 3, 1}, {4, 1, 1}}, Added::x},
      {{3, 5, 4, 16}, {{16, 1, 1}}},
      {{3, 5, 4, 16}, {{16, 1, 1}}, Added::nothing, false},
      {{5, 4, 4, 16}, {{32, 3, 1}}, Added::other},
      {{5, 4, 4, 16}, {{32, 3, 1}}, Added::other, false},
      {{2, 5, 4, 24}, {{40, 3, 2}}},
      {{9, 4, 4, 32}, {{16, 1, 1}, {16, 3, 1}, {32, 1, 1}}, Added::x},
      {{3, 4, 4, 32}, {{16, 1, 1}, {16, 3, 1}, {32, 1, 1}}, Added::x, false},
      {{2, 6, 4, 16}, {{16, 3, 2}, {48, 1, 1}}, Added::other},
      {{2, 4, 4, 64}, {{64, 1, 1}, {64, 1, 1}}},
      {{1, 2, 2, 16}, {{48, 1, 1}}},
      // Statistics over eight numbers: over four, f32 is too far from f64, fused or composed.
      {{1, 2, 4, 16}, {{48, 1, 1}, {16, 1, 1}}},
      {{3, 8, 8, 48}, {{16, 1, 1}}, Added::other},
      {{3, 8, 6, 96}, {{32, 1, 1}, {160, 1, 1}}, Added::other},
      {{1, 13, 10, 64}, {{32, 1, 1}, {32, 3, 1}, {64, 1, 1}}, Added::x},
      {{1, 13, 10, 64}, {{32, 1, 1}, {64, 1, 1}}, Added::x, false},
      {{1, 3, 3, 128}, {{64, 1, 1}}, Added::other},
      {{2, 3, 3, 160}, {{32, 1, 1}}},
      {{2, 3, 5, 40}, {{104, 1, 1}}},
      {{2, 3, 5, 104}, {{8, 1, 1}}, Added::other},
      {{2, 12, 12, 32}, {{32, 1, 1}}},
  };
}

std::vector<OperationCase> cases() {
  std::vector<OperationCase> table;
  for (Chain chain : chains()) {
    chain.tame = true;
    const int64_t rows = chain.x.size() / chain.x[3];
    table.push_back({chain.str(), chain.inputs(), [chain](const Inputs& in) { return fused(chain, in); },
                     rows * 16,
                     // Larger ones cross the kinks of the relus, smaller ones are lost in rounding.
                     /*step=*/2e-6,
                     // a and y of every stage forward, da and dy backward
                     /*roundings=*/4 * static_cast<int64_t>(chain.stages.size()) - 3});
  }
  return table;
}

}  // namespace

TEST_CASE("preactivation_convs: properties") {
  check_operation("preactivation_convs", cases());
}

TEST_CASE("preactivation_convs: equals its composition, in f64") {
  for (const Chain& chain : chains()) {
    INFO(chain.str());
    check_same_function({chain.str(), chain.inputs(), [&](const Inputs& in) { return fused(chain, in); }},
                        [&](const Inputs& in) { return unfused(chain, in); });
  }
}

TEST_CASE(
    "preactivation_convs: several chunks of a batch, and of an image's rows, equal the composition in f32") {
  for (const Chain& chain : {Chain{{33, 32, 32, 64}, {{16, 1, 1}, {16, 3, 1}, {64, 1, 1}}, Added::x},
                             Chain{{3, 48, 48, 128}, {{32, 1, 1}, {32, 3, 2}, {64, 1, 1}}, Added::other}}) {
    INFO(chain.str());
    Inputs in;
    uint64_t seed = 1;
    for (const Input& input : chain.inputs()) {
      in.emplace_back(normal(input.shape, Random(seed++, Purpose::test), 0.1f), true);
    }
    const Tensor dy = normal(chain.result(), Random(seed, Purpose::test));
    std::vector<Tensor> found;
    for (const auto& function : {fused, unfused}) {
      for (Variable& input : in) input.zero_grad();
      const Variable y = function(chain, in);
      y.backward(dy);
      std::vector<Tensor> results{y.value()};
      for (const Variable& input : in) results.push_back(input.grad().clone());
      if (found.empty()) {
        found = results;
      } else {
        for (size_t i = 0; i < found.size(); ++i) {
          INFO("result " << i);
          check_near(found[i], results[i], 2e-4);
        }
      }
    }
  }
}

TEST_CASE("preactivation_convs: what is not a number passes the gradient on, as in the composition") {
  // One bias gradient, that of the last norm, holds no number that is not finite, and shows the gate.
  for (const Device device : devices()) {
    for (const Dtype dtype : {Dtype::f32, Dtype::f64, Dtype::bf16, Dtype::f16}) {
      if (device.is_cuda() && dtype == Dtype::f64) continue;
      if (dtype == Dtype::bf16 && !has_bf16(device)) continue;
      for (const Chain& chain : {Chain{{3, 4, 4, 16}, {{32, 1, 1}}}, Chain{{3, 4, 4, 16}, {{32, 3, 1}}},
                                 Chain{{3, 4, 4, 16}, {{32, 3, 2}}}, Chain{{3, 5, 3, 5}, {{7, 1, 1}}},
                                 Chain{{3, 4, 4, 64}, {{16, 1, 1}, {16, 1, 1}, {64, 1, 1}}}}) {
        INFO(chain.str() << ", " << dtype << " on " << device);
        Chain evaluated = chain;
        evaluated.training = false;
        Inputs in;
        uint64_t seed = 1;
        for (const Input& input : chain.inputs()) {
          Tensor numbers = normal(input.shape, Random(seed++, Purpose::test));
          if (in.empty()) numbers.data<float>()[numbers.size() / 2] = std::nanf("");
          in.emplace_back(cast(numbers, input.stays_f32 ? accumulator_of(dtype) : dtype).to(device), true);
        }
        const Tensor dy = cast(normal(chain.result(), Random(seed, Purpose::test)), dtype).to(device);
        const size_t last_bias = in.size() - 2;
        unfused(evaluated, in).backward(dy);
        const Tensor wanted = in[last_bias].grad().clone();
        for (Variable& input : in) input.zero_grad();
        const Variable y = fused(evaluated, in);
        y.backward(dy);
        check_near(in[last_bias].grad(), wanted, tolerance(dtype, 3 * 16 * 64, /*roundings=*/4));
        const std::vector<double> found = y.value().to_doubles();
        CHECK(std::any_of(found.begin(), found.end(), [](double number) { return std::isnan(number); }));
      }
    }
  }
}

TEST_CASE("preactivation_convs: a weight that two stages share has the sum of both gradients, bound or not") {
  const Chain chain{{3, 4, 4, 16}, {{16, 1, 1}, {16, 1, 1}}};
  Inputs in;
  uint64_t seed = 1;
  for (const Input& input : chain.inputs()) {
    in.emplace_back(normal(input.shape, Random(seed++, Purpose::test)), true);
  }
  in[4] = in[1];  // the norm's weight
  in[6] = in[3];
  const Tensor dy = normal(chain.result(), Random(seed, Purpose::test));
  unfused(chain, in).backward(dy);
  const Tensor norm_weight = in[1].grad().clone(), weight = in[3].grad().clone();
  for (const bool is_bound : {false, true}) {
    for (Variable& input : in) {
      input.bind_grad(is_bound ? Tensor::full(input.shape(), 7.0) : Tensor());
      input.zero_grad();
    }
    fused(chain, in).backward(dy);
    check_near(in[1].grad(), norm_weight, 1e-4);
    check_near(in[3].grad(), weight, 1e-4);
  }
}

TEST_CASE("preactivation_convs: where only the residual needs a gradient, it is dy") {
  const Chain chain{{3, 4, 4, 16}, {{16, 1, 1}}, Added::other};
  Inputs in;
  for (const Input& input : chain.inputs()) in.emplace_back(normal(input.shape, Random(1, Purpose::test)));
  in.back() = Variable(in.back().value(), /*requires_grad=*/true);
  const Tensor dy = normal(chain.result(), Random(2, Purpose::test));
  fused(chain, in).backward(dy);
  CHECK(same_bits(in.back().grad(), dy));
  CHECK_FALSE(in[0].grad().defined());
}

TEST_CASE("preactivation_convs: moments that are not wanted are not made") {
  const Chain chain{{3, 4, 4, 16}, {{16, 1, 1}}};
  Inputs in;
  for (const Input& input : chain.inputs()) in.emplace_back(normal(input.shape, Random(1, Purpose::test)));
  CHECK(moments_of(F::preactivation_convs(in[0], convs_of(chain, in))).mean.defined());
  CHECK_FALSE(moments_of(F::preactivation_convs(in[0], convs_of(chain, in), {}, false)).mean.defined());
}

TEST_CASE(
    "preactivation_convs: the moments of the result and the running statistics are those of batch norm") {
  for (const Device device : devices()) {
    for (const Chain& chain : {Chain{{9, 4, 4, 32}, {{16, 1, 1}, {16, 3, 1}, {32, 1, 1}}, Added::x},
                               Chain{{2, 4, 5, 4}, {{3, 3, 1}, {4, 1, 1}}, Added::x}}) {
      INFO(chain.str() << " on " << device);
      Inputs in;
      uint64_t seed = 1;
      for (const Input& input : chain.inputs()) {
        in.emplace_back(normal(input.shape, Random(seed++, Purpose::test)).to(device));
      }
      std::vector<F::PreactivationConv> convs = convs_of(chain, in), separate = convs_of(chain, in);
      const Variable y = F::preactivation_convs(in[0], convs, in[0]);
      Tensor mean = Tensor::empty({chain.x[3]}, Dtype::f32, device), variance = Tensor::empty_like(mean);
      kernels::batch_norm_statistics(y.value(), mean, variance);
      check_near(moments_of(y).mean, mean, 1e-5);
      check_near(moments_of(y).variance, variance, 1e-5);

      Variable z = in[0];
      for (size_t i = 0; i < convs.size(); ++i) {
        F::PreactivationConv& one = separate[i];
        z = F::conv(F::batch_norm_relu(z, one.norm_weight, one.norm_bias, one.running_mean,
                                       one.running_variance, one.settings),
                    one.weight, {}, one.stride, one.padding);
        check_near(convs[i].running_mean, one.running_mean, 1e-5);
        check_near(convs[i].running_variance, one.running_variance, 1e-5);
      }
      // Batch norm takes the moments for those of the value.
      Variable marked(y.value());
      set_moments(marked, {Tensor::full({chain.x[3]}, 2.0, Dtype::f32, device),
                           Tensor::full({chain.x[3]}, 4.0, Dtype::f32, device)});
      F::PreactivationConv& first = convs[0];
      F::batch_norm(marked, first.norm_weight, first.norm_bias, first.running_mean, first.running_variance,
                    {.momentum = 1.0});
      check_near(first.running_mean, std::vector<double>(static_cast<size_t>(chain.x[3]), 2.0), 1e-6);
      // But not once its numbers have changed.
      marked.value().fill_with_zeros();
      CHECK_FALSE(moments_of(marked).mean.defined());
    }
  }
}

TEST_CASE("preactivation_convs: moments over many rows carry no more error than a few roundings") {
  for (const Chain::Stage& stage :
       {Chain::Stage{64, 1, 1}, Chain::Stage{64, 3, 1}, Chain::Stage{128, 3, 2}, {128, 1, 1}}) {
    const Chain chain{{32, 32, 32, 32}, {stage}};
    INFO(chain.str());
    Inputs in;
    uint64_t seed = 1;
    for (const Input& input : chain.inputs())
      in.emplace_back(normal(input.shape, Random(seed++, Purpose::test)));
    const Variable y = fused(chain, in);
    const int64_t rows = y.value().size() / stage.K;
    const float* const numbers = y.value().data<float>();
    double squares_of_errors = 0;
    for (int64_t k = 0; k < stage.K; ++k) {
      double sum = 0, squares = 0;
      const double origin = static_cast<double>(numbers[k]);
      for (int64_t row = 0; row < rows; ++row) {
        const double d = static_cast<double>(numbers[row * stage.K + k]) - origin;
        sum += d;
        squares += d * d;
      }
      const double mean = sum / static_cast<double>(rows);
      const double variance = squares / static_cast<double>(rows) - mean * mean;
      squares_of_errors +=
          std::pow(moments_of(y).variance.to_doubles()[static_cast<size_t>(k)] / variance - 1, 2);
    }
    const double error = std::sqrt(squares_of_errors / static_cast<double>(stage.K)) * 0x1p24;
    CHECK(error < 2.0);  // half units of the last place; with one f32 sum a chunk 3.4 to 6.7
  }
}

TEST_CASE("preactivation_convs: nothing is kept but x and what goes between the convolutions") {
  const Chain chain{{4, 8, 8, 64}, {{16, 1, 1}, {16, 3, 1}, {64, 1, 1}}, Added::x};
  Inputs in;
  uint64_t seed = 1;
  for (const Input& input : chain.inputs()) {
    in.emplace_back(normal(input.shape, Random(seed++, Purpose::test)), true);
  }
  const int64_t before = memory_stats().in_use;
  const Variable y = fused(chain, in);
  const auto result = static_cast<int64_t>(y.value().bytes());
  const int64_t between = 2 * result / 4, slack = 16 << 10;
  CHECK(memory_stats().in_use - before <= result + between + slack);
}

TEST_CASE("preactivation_convs: where a later argument is wrong, no running statistic has moved") {
  const Chain chain{{3, 4, 4, 16}, {{16, 1, 1}, {16, 3, 1}}};
  Inputs in;
  for (const Input& input : chain.inputs()) in.emplace_back(normal(input.shape, Random(1, Purpose::test)));
  const std::vector<F::PreactivationConv> good = convs_of(chain, in);
  const Tensor mean = good[0].running_mean.clone(), variance = good[0].running_variance.clone();
  std::vector<F::PreactivationConv> wrong = good;
  wrong[1].weight = Tensor::zeros({16, 3, 3, 8});
  check_error("preactivation_convs", [&] { F::preactivation_convs(in[0], wrong); });
  wrong = good;
  wrong[1].norm_bias = Tensor::zeros({8});
  check_error("preactivation_convs", [&] { F::preactivation_convs(in[0], wrong); });
  check_error("preactivation_convs", [&] {
    F::preactivation_convs(in[0], good, Tensor::zeros({3, 4, 4, 8}));
  });
  CHECK(same_bits(good[0].running_mean, mean));
  CHECK(same_bits(good[0].running_variance, variance));
}

TEST_CASE("preactivation_convs: what does not fit is an error") {
  Rng rng(1);
  const Variable x = Tensor::zeros({2, 4, 4, 8});
  const Tensor eight = Tensor::zeros({8});
  const F::PreactivationConv good{eight,         eight, eight.clone(),
                                  eight.clone(), {},    Tensor::zeros({8, 1, 1, 8})};
  check_error("preactivation_convs", [&] { F::preactivation_convs(x, {}); });
  F::PreactivationConv wrong = good;
  wrong.weight = Tensor::zeros({8, 1, 1, 7});
  check_error("preactivation_convs", [&] { F::preactivation_convs(x, {wrong}); });
  wrong = good;
  wrong.weight = Tensor::zeros({0, 1, 1, 8});
  check_error("preactivation_convs", [&] { F::preactivation_convs(x, {wrong}); });
  wrong = good;
  wrong.norm_bias = Tensor::zeros({7});
  check_error("preactivation_convs", [&] { F::preactivation_convs(x, {wrong}); });
  check_error("preactivation_convs", [&] { F::preactivation_convs(x, {good}, Tensor::zeros({2, 4, 4, 7})); });
  const BatchNorm norm(8);
  const Conv with_bias(8, 8, 1, 1, 0, rng, /*has_bias=*/true);
  CHECK_THROWS_AS(norm.then(with_bias), UsageError);
}
