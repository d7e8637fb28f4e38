#include "fovea/core/autograd.h"

#include <functional>
#include <string>

#include "fovea/core/allocator.h"
#include "fovea/layers/functional.h"
#include "op_test.h"

using namespace fovea;
using namespace fovea::test;

namespace {

/// An operation that adds 1 and whose backward runs `body`.
Variable observed(const Variable& x, std::function<void()> body) {
  Tensor y = x.value().clone();
  return record("observed", y, {x}, [body](const Tensor& dy) -> std::vector<Tensor> {
    body();
    return {dy};
  });
}

}  // namespace

TEST_CASE("autograd: a variable used three times gathers three gradients") {
  const Variable x = parameter({2, 3}, {2});
  const Variable y = F::add(F::mul(x, x), x);
  y.backward(Tensor::from<double>({1, 10}, {2}));
  check_near(x.grad(), {5, 70});
}

TEST_CASE("autograd: add hands the same dy to both sides, and neither spoils the other's") {
  const Variable a = parameter({1}, {1}), b = parameter({2}, {1});
  const Tensor dy = Tensor::from<double>({1}, {1});
  F::add(F::add(a, b), a).backward(dy);  // a receives twice, b shares the first one
  check_near(a.grad(), {2});
  check_near(b.grad(), {1});
  check_near(dy, {1});
}

TEST_CASE("autograd: gradients of several backward passes add up until they are forgotten") {
  Variable x = parameter({3}, {1});
  F::scale(x, 2).backward();
  const Tensor first = x.grad();
  F::scale(x, 5).backward();
  check_near(x.grad(), {7});
  check_near(first, {2});  // what was handed out does not change
  x.zero_grad();
  CHECK_FALSE(x.grad().defined());
  F::scale(x, 4).backward();
  check_near(x.grad(), {4});
}

TEST_CASE("autograd: bound gradients arrive in the buffer") {
  const Tensor arena = Tensor::full({5}, 100, Dtype::f64);
  Variable a = parameter({1, 2}, {2}), b = parameter({3, 4, 5}, {3});
  a.bind_grad(arena.slice(0, {2}));
  b.bind_grad(arena.slice(2, {3}));
  const auto pass = [&] { F::add(F::sum(F::mul(a, a)), F::sum(b)).backward(); };
  pass();
  check_near(arena, {2, 4, 1, 1, 1});  // the first replaces what was there
  pass();
  check_near(arena, {4, 8, 2, 2, 2});
  a.zero_grad();
  CHECK_FALSE(a.grad().defined());
  pass();
  check_near(arena, {2, 4, 3, 3, 3});
  CHECK(a.grad().raw() == arena.raw());
  // A gradient computed in the buffer itself is not copied; only one at a time, and only the first.
  a.zero_grad();
  const Tensor place = a.new_gradient();
  CHECK(place.raw() == arena.raw());
  CHECK(a.new_gradient().raw() != place.raw());
  a.zero_grad();
  CHECK(a.new_gradient().raw() == place.raw());
  check_error("bind_grad", [&] { a.bind_grad(Tensor::zeros({3}, Dtype::f64)); });
  check_error("bind_grad", [&] { a.bind_grad(Tensor::zeros({2}, Dtype::f32)); });
}

TEST_CASE("autograd: a second backward through the same history is an error") {
  const Variable x = parameter({3}, {1});
  const Variable inner = F::mul(x, x), y = F::scale(inner, 2);
  y.backward();
  check_error("backward", [&] { y.backward(); });
  check_error("backward", [&] { F::scale(inner, 3).backward(); });
  check_near(x.grad(), {12});
}

TEST_CASE("autograd: errors of misuse") {
  Variable x = parameter({1, 2}, {2});
  const Variable data(Tensor::zeros({1}));
  Variable none;
  check_error("backward", [&] { F::scale(x, 2).backward(); });  // not a single number
  check_error("backward", [&] { data.backward(); });
  check_error("backward", [&] { F::scale(x, 2).backward(Tensor::zeros({3}, Dtype::f64)); });
  check_error("backward", [&] { F::scale(x, 2).backward(Tensor::zeros({2}, Dtype::f32)); });
  check_error("Variable", [&] { none.value(); });
  check_error("Variable", [] { Variable(Tensor::zeros({1}, Dtype::i32), true); });
  Variable result = F::scale(x, 2);
  check_error("set_requires_grad", [&] { result.set_requires_grad(false); });
  const Variable wrong = record("wrong", x.value(), {x}, [](const Tensor&) { return std::vector<Tensor>{}; });
  check_error("backward", [&] { wrong.backward(x.value()); });
}

TEST_CASE("autograd: only what depends on a parameter has a gradient") {
  const Variable x = parameter({3}, {1}), data(Tensor::from<double>({4}, {1}));
  const Variable y = F::mul(x, data);
  CHECK(y.requires_grad());
  CHECK_FALSE(F::mul(data, data).requires_grad());
  y.backward();
  check_near(x.grad(), {4});
  CHECK_FALSE(data.grad().defined());
  Variable frozen = parameter({3}, {1});
  frozen.set_requires_grad(false);
  CHECK_FALSE(F::scale(frozen, 2).requires_grad());
  CHECK_FALSE(y.detach().requires_grad());
  CHECK(y.detach().value().raw() == y.value().raw());
}

TEST_CASE("autograd: NoGrad keeps no history, nests, and ends with its scope") {
  const Variable x = parameter({3}, {1});
  {
    const NoGrad outer;
    { const NoGrad inner; }
    CHECK_FALSE(grad_enabled());
    CHECK_FALSE(F::scale(x, 2).requires_grad());
  }
  CHECK(grad_enabled());
  CHECK(F::scale(x, 2).requires_grad());
}

TEST_CASE("autograd: memory is freed as backward goes") {
  const int64_t bytes = 8 << 16;
  const int64_t before = memory_stats().in_use;
  Variable x(Tensor::full({1 << 16}, 1, Dtype::f64), true);
  Variable y = x;
  std::vector<int64_t> in_use;
  for (int i = 0; i < 8; ++i) {
    y = observed(F::mul(y, y), [&] { in_use.push_back(memory_stats().in_use - before); });
  }
  y = F::sum(y);
  y.backward();
  REQUIRE(in_use.size() == 8);
  // From one to the next, two results go: the copy in `observed` and what `mul` has kept.
  for (size_t i = 1; i < in_use.size(); ++i) CHECK(in_use[i] <= in_use[i - 1] - bytes);
  y = Variable();
  CHECK(memory_stats().in_use - before == 2 * bytes);  // x and its gradient
}

TEST_CASE("autograd: a long history is freed in a loop, also where an input stands twice") {
  const Variable x(Tensor::full({1}, 1), /*requires_grad=*/true);
  for (const bool is_twice : {false, true}) {
    Variable y = F::add(x, x);
    for (int i = 0; i < 300000; ++i) y = F::add(y, is_twice ? y : x);
    CHECK(y.requires_grad());
  }
}

TEST_CASE("autograd: without history a result frees its inputs at once") {
  const NoGrad no_grad;
  const int64_t bytes = 8 << 16;
  const int64_t before = memory_stats().in_use;
  Variable y(Tensor::full({1 << 16}, 1, Dtype::f64), true);
  for (int i = 0; i < 8; ++i) y = F::scale(y, 2);
  CHECK(memory_stats().in_use - before == bytes);
}

TEST_CASE("autograd: a very long chain neither overflows the stack in backward nor when it is dropped") {
  const int length = 200000;
  const Variable x = parameter({1}, {1});
  const auto chain = [&] {
    Variable y = x;
    for (int i = 0; i < length; ++i) y = F::add(y, x);
    return y;
  };
  chain().backward();
  check_near(x.grad(), {length + 1.0});
  { const Variable dropped = chain(); }
  SUCCEED();
}

TEST_CASE("autograd: nodes are visited newest first, each once") {
  std::string order;
  const Variable x = parameter({1}, {1});
  const Variable a = observed(x, [&] { order += 'a'; });
  const Variable b = observed(a, [&] { order += 'b'; });
  const Variable c = observed(a, [&] { order += 'c'; });
  F::add(F::add(c, b), a).backward();
  CHECK(order == "cba");
  check_near(x.grad(), {3});
}

TEST_CASE("autograd: an operation that takes the earlier gradient hands on the sum, once") {
  const Variable x = parameter({1, 2}, {2});
  const auto taking = [](const Variable& input) {
    return record("taking", input.value().clone(), {input},
                  [earlier = input.earlier_gradient()](const Tensor& dy) -> std::vector<Tensor> {
                    const Tensor sent = earlier.take();
                    CHECK_FALSE(earlier.take().defined());
                    if (!sent.defined()) return {dy};
                    Tensor sum = dy.clone();
                    accumulate(sent, sum);
                    return {sum};
                  });
  };
  const Variable y = F::scale(x, 3);
  const Variable first = taking(y), second = F::scale(y, 10);  // second is newer: it sends first
  F::add(first, second).backward(Tensor::from<double>({1, 2}, {2}));
  check_near(x.grad(), {33, 66});
  // A leaf keeps what it has: it is not of this pass alone.
  taking(x).backward(Tensor::from<double>({1, 1}, {2}));
  check_near(x.grad(), {34, 67});
  CHECK_FALSE(EarlierGradient().take().defined());
}

TEST_CASE("OperationObserver: sees every operation while it lives, and nests") {
  std::string outer_seen, inner_seen;
  const Variable x = parameter({1, 2}, {2});
  {
    const OperationObserver outer(
        [&](std::string_view name, const Tensor& y, std::span<const Variable> inputs) {
          outer_seen += str(name, y.shape(), inputs.size(), ' ');
        });
    F::add(x, x);
    {
      const OperationObserver inner(
          [&](std::string_view name, const Tensor&, std::span<const Variable>) { inner_seen += name; });
      F::relu(x);
    }
    F::sum(x);
  }
  F::scale(x, 2);
  CHECK(outer_seen == "add[2]2 sum[]1 ");
  CHECK(inner_seen == "relu");
}

TEST_CASE(
    "autograd: a value that was changed between forward and backward is an error, and says what to do") {
  const auto changed_by = [](const std::function<void(Tensor&)>& change) {
    Variable x = parameter({1, 2}, {2}), weight = parameter({3, 4}, {2});
    const Variable y = F::sum(F::mul(x, weight));
    change(weight.value());
    CHECK_THROWS_WITH(
        y.backward(),
        "backward: mul needs f64[2] as it was in the forward pass, at version 0, but it was changed "
        "since, to version 1; change it after backward, or change a clone");
    CHECK_FALSE(x.grad().defined());
  };
  changed_by([](Tensor& weight) { weight.copy_from(Tensor::from<double>({5, 6}, {2})); });
  changed_by([](Tensor& weight) { weight.fill_with_zeros(); });
  changed_by([](Tensor& weight) { weight.slice(1, {1}).fill_with_zeros(); });
  changed_by([](Tensor& weight) { weight.reshape({2, 1}).copy_from(Tensor::from<double>({5, 6}, {2, 1})); });
  changed_by([](Tensor& weight) { accumulate(Tensor::from<double>({5, 6}, {2}), weight); });
  changed_by([](Tensor& weight) {
    weight.data<double>()[0] = 7;
    weight.mark_changed();
  });
}

TEST_CASE("autograd: changes that have no part in a gradient, or come after it, are no error") {
  Variable x = parameter({1, 2}, {2}), weight = parameter({3, 4}, {2}), bias = parameter({0, 1}, {2});
  for (int step = 0; step < 3; ++step) {
    for (Variable& leaf : {std::ref(x), std::ref(weight), std::ref(bias)}) leaf.zero_grad();
    Variable y = F::mul(x, weight);
    const Variable z = F::sum(F::add(y, bias));
    y.value().fill_with_zeros();  // a product needs its factors, a sum nothing
    bias.value().fill_with_zeros();
    z.backward();
    x.value().copy_from(Tensor::from<double>({5, 6}, {2}));  // as an optimiser does
    weight.value().copy_from(Tensor::from<double>({7, 8}, {2}));
  }
  check_near(x.grad(), {7, 8});
  check_near(weight.grad(), {5, 6});
  // Numbers elsewhere, and reading.
  const Variable y = F::sum(F::mul(x, weight));
  weight.value() = Tensor::zeros({2}, Dtype::f64);
  x.value().clone().fill_with_zeros();
  CHECK(x.value().data<double>()[0] == 5);
  x.zero_grad();
  y.backward();
  check_near(x.grad(), {7, 8});
}

TEST_CASE("autograd: labels that were changed between forward and backward are an error") {
  const Variable logits = parameter({1, 2, 3, 4}, {2, 2});
  Tensor labels = Tensor::from<int32_t>({0, 1}, {2});
  const Variable loss = F::softmax_cross_entropy(logits, labels);
  labels.copy_from(Tensor::from<int32_t>({1, 1}, {2}));
  CHECK_THROWS_WITH(loss.backward(), Catch::Contains("softmax_cross_entropy needs i32[2]"));
}

TEST_CASE("autograd: running statistics that move before the backward pass leave its constants alone") {
  const auto gradient = [](bool moves) {
    const Variable x = parameter({1, 2, 3, 5}, {4, 1}), weight = parameter({3}, {1}),
                   bias = parameter({1}, {1});
    Tensor mean = Tensor::full({1}, 2.0, Dtype::f64), variance = Tensor::full({1}, 4.0, Dtype::f64);
    const Variable y = F::batch_norm(x, weight, bias, mean, variance, {.training = false});
    if (moves) F::batch_norm(x, weight, bias, mean, variance, {.training = true});
    F::sum(y).backward();
    return std::pair(x.grad().to_doubles(), weight.grad().to_doubles());
  };
  CHECK(gradient(false) == gradient(true));
}
