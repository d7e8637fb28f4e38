#include <cmath>

#include "fovea/core/captured_graph.h"
#include "fovea/kernels/softmax_cross_entropy.h"
#include "fovea/layers/functional.h"
#include "op_test.h"

using namespace fovea;
using namespace fovea::test;

namespace {

struct Problem {
  int64_t N, C;
  double smoothing;

  Tensor labels() const {
    std::vector<int32_t> values;
    for (int64_t n = 0; n < N; ++n) values.push_back(static_cast<int32_t>((3 * n + 1) % C));
    return Tensor::from(values, {N});
  }
  /// (1 - smoothing) * onehot(label) + smoothing / C, f64.
  Tensor targets() const {
    std::vector<double> values(static_cast<size_t>(N * C), smoothing / static_cast<double>(C));
    for (int64_t n = 0; n < N; ++n) values[static_cast<size_t>(n * C + (3 * n + 1) % C)] += 1 - smoothing;
    return Tensor::from(values, {N, C});
  }
  OperationCase hard() const {
    const auto loss = [*this](const Inputs& x) {
      return F::softmax_cross_entropy(x[0], labels().to(x[0].value().device()), smoothing);
    };
    return {str("[", N, ", ", C, "] smoothing ", smoothing), {{{N, C}}}, loss, /*terms=*/N * C};
  }
};

const std::vector<Problem>& problems() {
  static const std::vector<Problem> all = {{1, 1, 0},     {1, 10, 0},      {7, 2, 0.1},  {5, 8, 0},
                                           {3, 9, 0.2},   {64, 10, 0.1},   {4, 16, 0.3}, {2, 17, 1.0},
                                           {2, 131, 0.1}, {1100, 10, 0.1}, {70, 129, 0}, {3, 1000, 0.1}};
  return all;
}

/// Mean over the rows of -sum over the classes of q * log_softmax(x).
Variable composed(const Variable& logits, const Tensor& targets) {
  return F::scale(F::mean(F::sum(F::mul(F::log_softmax(logits), targets), 1)), -1);
}

}  // namespace

TEST_CASE("softmax_cross_entropy: properties") {
  std::vector<OperationCase> cases;
  for (const Problem& problem : problems()) cases.push_back(problem.hard());
  check_operation("softmax_cross_entropy", cases);
}

TEST_CASE("softmax_cross_entropy: log_softmax, gather, mean") {
  for (const Problem& problem : problems()) {
    check_same_function(problem.hard(), [&](const Inputs& x) { return composed(x[0], problem.targets()); });
  }
}

TEST_CASE("softmax_cross_entropy_soft: properties, and its composition, for targets of any mass") {
  std::vector<OperationCase> cases;
  for (const auto& [N, C, smoothing] : problems()) {
    cases.push_back({str("[", N, ", ", C, "]"),
                     {{{N, C}}, {{N, C}, Fill::positive, /*requires_grad=*/false}},
                     [](const Inputs& x) { return F::softmax_cross_entropy_soft(x[0], x[1].value()); },
                     /*terms=*/N * C});
    check_same_function(cases.back(), [](const Inputs& x) { return composed(x[0], x[1].value()); });
  }
  check_operation("softmax_cross_entropy_soft", cases);
}

TEST_CASE("softmax_cross_entropy: by hand") {
  const Variable x =
      parameter({0, 0, std::log(2.0), 0, std::log(3.0), 0}, {2, 3});  // 1/4 1/4 1/2, 1/5 3/5 1/5
  const Variable loss = F::softmax_cross_entropy(x, Tensor::from<int32_t>({2, 0}, {2}));
  REQUIRE(loss.shape() == Shape{});
  check_near(loss.value(), {(std::log(2.0) + std::log(5.0)) / 2});
  loss.backward();
  check_near(x.grad(), {0.125, 0.125, -0.25, -0.4, 0.3, 0.1});

  const Variable smooth = F::softmax_cross_entropy(x, Tensor::from<int32_t>({2, 0}, {2}), /*smoothing=*/0.3);
  const double first = 0.8 * std::log(2.0) + 0.2 * std::log(4.0);
  const double second = 0.9 * std::log(5.0) + 0.1 * std::log(5.0 / 3);
  check_near(smooth.value(), {(first + second) / 2});
}

TEST_CASE("softmax_cross_entropy: logits far out stay finite") {
  for (const Device device : devices()) {
    INFO(device);
    const auto labels = [&](const std::vector<int32_t>& classes) {
      return Tensor::from(classes, {2}).to(device);
    };
    const Variable x(Tensor::from<float>({10000, 0, -10000, 10000}, {2, 2}).to(device),
                     /*requires_grad=*/true);
    const Variable loss = F::softmax_cross_entropy(x, labels({0, 1}));
    CHECK(loss.value().item() == 0);
    const Variable wrong = F::softmax_cross_entropy(x, labels({1, 1}));
    CHECK(wrong.value().item() == 5000);
    wrong.backward(Tensor::full({}, 1.0, Dtype::f32, device));
    check_near(x.grad(), {0.5, -0.5, 0, 0});
  }
}

TEST_CASE("softmax_cross_entropy: 16-bit logits give an f32 loss") {
  const Variable x(Tensor::zeros({2, 4}, Dtype::bf16), /*requires_grad=*/true);
  const Variable loss = F::softmax_cross_entropy(x, Tensor::from<int32_t>({0, 3}, {2}));
  CHECK(loss.dtype() == Dtype::f32);
  check_near(loss.value(), {std::log(4.0)}, 1e-7);
  loss.backward();
  CHECK(x.grad().dtype() == Dtype::bf16);
}

TEST_CASE("softmax_cross_entropy: errors") {
  const Variable x = Tensor::zeros({2, 3});
  const Tensor labels = Tensor::zeros({2}, Dtype::i32);
  check_error("softmax_cross_entropy", [&] { F::softmax_cross_entropy(Tensor::zeros({6}), labels); });
  check_error("softmax_cross_entropy", [&] {
    F::softmax_cross_entropy(Tensor::zeros({0, 3}), Tensor::zeros({0}, Dtype::i32));
  });
  check_error("softmax_cross_entropy", [&] { F::softmax_cross_entropy(x, Tensor::zeros({3}, Dtype::i32)); });
  check_error("softmax_cross_entropy", [&] { F::softmax_cross_entropy(x, Tensor::zeros({2}, Dtype::i64)); });
  check_error("softmax_cross_entropy", [&] { F::softmax_cross_entropy(x, labels, -0.1); });
  check_error("softmax_cross_entropy", [&] { F::softmax_cross_entropy(x, labels, 1.1); });
  check_error("softmax_cross_entropy", [&] {
    F::softmax_cross_entropy(Tensor::zeros({2, 3}, Dtype::i32), labels);
  });
  check_error("softmax_cross_entropy_soft", [&] { F::softmax_cross_entropy_soft(x, Tensor::zeros({2, 4})); });
  check_error("softmax_cross_entropy_soft", [&] {
    F::softmax_cross_entropy_soft(x, Tensor::zeros({2, 3}, Dtype::f64));
  });
  check_error("softmax_cross_entropy_soft",
              [&] { F::softmax_cross_entropy_soft(Tensor::zeros({3}), Tensor::zeros({3})); });
}

TEST_CASE("softmax_cross_entropy: a label out of range is named with its row and C") {
  const Variable x = Tensor::zeros({3, 10});
  for (const int32_t label : {-1, 10, 255}) {
    try {
      F::softmax_cross_entropy(x, Tensor::from<int32_t>({0, label, 9}, {3}));
      FAIL("no error");
    } catch (const Error& error) {
      const std::string message = error.what();
      INFO(message);
      CHECK(message.starts_with("softmax_cross_entropy: the label of row 1 is " + std::to_string(label)));
      CHECK(message.find("C = 10") != std::string::npos);
    }
  }
}

TEST_CASE(
    "softmax_cross_entropy: on a device, a label out of range makes the loss and the row's gradient NaN") {
  if (cuda_status().device_count == 0) return;
  const Device device = Device::cuda();
  for (const int32_t label : {-1, 10, 255}) {
    INFO(label);
    const Variable x(Tensor::zeros({3, 10}, Dtype::f32, device), /*requires_grad=*/true);
    const Variable loss = F::softmax_cross_entropy(x, Tensor::from<int32_t>({0, label, 9}, {3}).to(device));
    CHECK(std::isnan(loss.value().item()));
    loss.backward(Tensor::full({}, 1.0, Dtype::f32, device));
    const std::vector<double> gradient = x.grad().to_doubles();
    for (size_t i = 0; i < gradient.size(); ++i) CHECK(std::isnan(gradient[i]) == (i / 10 == 1));
  }
}

TEST_CASE("softmax_cross_entropy: captured into a graph, it reads new logits and labels") {
  if (cuda_status().device_count == 0) return;
  const Device device = Device::cuda();
  const int64_t N = 1100, C = 10;  // more rows than one block takes
  Tensor logits = Tensor::zeros({N, C}, Dtype::f32, device), labels = Tensor::zeros({N}, Dtype::i32, device);
  Tensor loss = Tensor::empty({}, Dtype::f32, device), probabilities = Tensor::empty_like(logits);
  const CapturedGraph graph(device, [&] {
    kernels::softmax_cross_entropy_forward(logits, labels, /*smoothing=*/0, loss, probabilities);
  });
  graph.replay();
  check_near(loss, {std::log(10.0)}, 1e-6);
  const Tensor wanted =
      F::softmax_cross_entropy(normal({N, C}, Random(1, Purpose::test)), Tensor::full({N}, 7, Dtype::i32))
          .value();
  logits.copy_from(normal({N, C}, Random(1, Purpose::test)));
  labels.copy_from(Tensor::full({N}, 7, Dtype::i32));
  graph.replay();
  check_near(loss, wanted, 1e-6);
}
