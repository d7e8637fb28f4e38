#include "op_test.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <numeric>

#include "fovea/core/allocator.h"
#include "fovea/core/device_dtype.h"
#include "fovea/core/parallel_for.h"
#include "fovea/core/random.h"
#include "fovea/kernels/cast.h"
#include "fovea/layers/functional.h"

namespace fovea::test {
namespace {

constexpr uint32_t kProjection = 1000;  // stream of the random dy; those of the inputs are 0, 1, ...

/// Draws in f64, so that all dtypes start from the same numbers.
Tensor draw(const Shape& shape, Fill fill, uint32_t stream) {
  Random random(/*seed=*/7, Purpose::test, /*epoch=*/0, stream);
  Tensor result = Tensor::empty(shape, Dtype::f64);
  double* values = result.data<double>();
  for (int64_t i = 0; i < result.size(); ++i) {
    const double number = static_cast<double>(random.normal());
    switch (fill) {
      case Fill::normal: values[i] = number; break;
      case Fill::positive: values[i] = std::abs(number) + 0.5; break;
      case Fill::away_from_zero: values[i] = number + std::copysign(0.1, number); break;
      case Fill::distinct: values[i] = static_cast<double>(i - result.size() / 2) / 64; break;
    }
  }
  if (fill == Fill::distinct) {
    for (int64_t i = result.size() - 1; i > 0; --i) {
      std::swap(values[i], values[random.below(static_cast<uint32_t>(i + 1))]);
    }
  }
  return result;
}

std::vector<Tensor> draw_inputs(const OperationCase& one, Dtype dtype) {
  std::vector<Tensor> values;
  for (const Input& input : one.inputs) {
    const Tensor numbers = draw(input.shape, input.fill, static_cast<uint32_t>(values.size()));
    values.push_back(cast(numbers, input.stays_f32 ? accumulator_of(dtype) : dtype));
  }
  return values;
}

std::vector<Tensor> widened(const std::vector<Tensor>& tensors) {
  std::vector<Tensor> wide;
  for (const Tensor& tensor : tensors) wide.push_back(cast(tensor, Dtype::f64));
  return wide;
}

std::vector<bool> required(const OperationCase& one) {
  std::vector<bool> flags;
  for (const Input& input : one.inputs) flags.push_back(input.requires_grad);
  return flags;
}

Inputs variables(const std::vector<Tensor>& values, const std::vector<bool>& requires_grad) {
  Inputs inputs;
  for (size_t i = 0; i < values.size(); ++i) inputs.emplace_back(values[i], requires_grad[i]);
  return inputs;
}

struct Result {
  Tensor y;
  std::vector<Tensor> gradients;  // one for each input; undefined where none is required
};

/// Forward and backward. A dy whose dtype is not that of y has been drawn for another run: it is cast.
Result run(const Function& function, const std::vector<Tensor>& values,
           const std::vector<bool>& requires_grad, Tensor dy = {}) {
  std::vector<Tensor> copies;
  for (const Tensor& value : values) copies.push_back(value.clone());
  const Inputs inputs = variables(values, requires_grad);
  const Variable y = function(inputs);
  if (!dy.defined()) dy = draw(y.shape(), Fill::normal, kProjection);
  dy = cast(dy, y.dtype()).to(y.value().device());
  const Tensor dy_copy = dy.clone();
  if (y.requires_grad()) y.backward(dy);

  Result result{y.value(), {}};
  for (size_t i = 0; i < inputs.size(); ++i) {
    INFO("input " << i);
    CHECK(same_bits(values[i], copies[i]));
    CHECK(inputs[i].grad().defined() == requires_grad[i]);
    result.gradients.push_back(inputs[i].grad());
  }
  CHECK(same_bits(dy, dy_copy));
  return result;
}

Result run(const OperationCase& one, const std::vector<Tensor>& values, const Tensor& dy = {}) {
  return run(one.function, values, required(one), dy);
}

bool same_bits(const Result& a, const Result& b) {
  if (!test::same_bits(a.y, b.y) || a.gradients.size() != b.gradients.size()) return false;
  for (size_t i = 0; i < a.gradients.size(); ++i) {
    if (!test::same_bits(a.gradients[i], b.gradients[i])) return false;
  }
  return true;
}

void check_near(const Result& found, const Result& wanted, double relative) {
  {
    INFO("output");
    test::check_near(found.y, wanted.y, relative);
  }
  for (size_t i = 0; i < wanted.gradients.size(); ++i) {
    INFO("gradient of input " << i);
    if (wanted.gradients[i].defined()) test::check_near(found.gradients[i], wanted.gradients[i], relative);
  }
}

/// d(sum of dy * y) / d(element of input), by central differences of fourth order.
double difference(const OperationCase& one, std::vector<Tensor> values, size_t input, int64_t element,
                  const std::vector<double>& dy) {
  const NoGrad no_grad;
  values[input] = values[input].clone();
  double& x = values[input].data<double>()[element];
  const double centre = x;
  double derivative = 0;
  const double steps[] = {-2, -1, 1, 2}, weights[] = {1, -8, 8, -1};
  std::vector<double> slope(dy.size(), 0.0);
  for (int k = 0; k < 4; ++k) {
    x = centre + steps[k] * one.step;
    const Variable y = one.function(variables(values, std::vector<bool>(values.size(), false)));
    const std::span<const double> numbers = y.value().span<double>();
    for (size_t i = 0; i < dy.size(); ++i) slope[i] += weights[k] * numbers[i];
  }
  for (size_t i = 0; i < dy.size(); ++i) derivative += dy[i] * slope[i];
  return derivative / (12 * one.step);
}

void check_gradient(const OperationCase& one) {
  constexpr int64_t kSamples = 40;
  const std::vector<Tensor> values = draw_inputs(one, Dtype::f64);
  const Result result = run(one, values);
  const std::vector<double> dy = draw(result.y.shape(), Fill::normal, kProjection).to_doubles();
  Random random(/*seed=*/8, Purpose::test);
  for (size_t input = 0; input < values.size(); ++input) {
    if (!one.inputs[input].requires_grad || values[input].size() == 0) continue;
    const std::span<const double> gradient = result.gradients[input].span<double>();
    double largest = 1e-2;  // below, a difference is rounding alone
    for (const double number : gradient) largest = std::max(largest, std::abs(number));
    const int64_t count = std::min(values[input].size(), kSamples);
    for (int64_t i = 0; i < count; ++i) {
      const int64_t element =
          count < kSamples ? i : random.below(static_cast<uint32_t>(values[input].size()));
      const double wanted = difference(one, values, input, element, dy);
      const double found = gradient[static_cast<size_t>(element)];
      INFO("gradient of input " << input << ", element " << element << ": " << found << ", differences give "
                                << wanted);
      CHECK(std::abs(found - wanted) <= 1e-7 * largest);
    }
  }
}

void check_each_alone(const OperationCase& one, const std::vector<Tensor>& values, const Result& all) {
  for (size_t input = 0; input < values.size(); ++input) {
    if (!one.inputs[input].requires_grad) continue;
    INFO("only input " << input << " requires a gradient");
    std::vector<bool> alone(values.size(), false);
    alone[input] = true;
    CHECK(test::same_bits(run(one.function, values, alone).gradients[input], all.gradients[input]));
  }
}

void check_each_alone(const OperationCase& one) {
  const std::vector<Tensor> values = draw_inputs(one, Dtype::f64);
  check_each_alone(one, values, run(one, values));
}

/// On a CUDA device: the same as `wanted`, and the same bits again and for each input's gradient alone. The
/// emulator runs blocks and threads in another order each time.
void check_device(const OperationCase& one, const std::vector<Tensor>& values, const Result& wanted,
                  double relative) {
  if (cuda_status().device_count == 0) return;
  if (values.front().dtype() == Dtype::bf16 && !has_bf16(Device::cuda())) return;
  INFO("on a CUDA device");
  std::vector<Tensor> on_device;
  for (const Tensor& value : values) on_device.push_back(value.to(Device::cuda()));
  const Result found = run(one, on_device);
  CHECK(found.y.device().is_cuda());
  check_near(found, wanted, relative);
  CHECK(same_bits(run(one, on_device), found));
  check_each_alone(one, on_device, found);
}

void check_precision(const OperationCase& one) {
  for (const Dtype dtype : {Dtype::f32, Dtype::bf16, Dtype::f16}) {
    INFO(dtype << " against f64");
    const std::vector<Tensor> values = draw_inputs(one, dtype);
    const Result found = run(one, values);
    const Tensor dy = cast(draw(found.y.shape(), Fill::normal, kProjection), found.y.dtype());
    const Result wanted = run(one, widened(values), dy);
    check_near(found, wanted, tolerance(dtype, one.terms, one.roundings));
    check_device(one, values, wanted, tolerance(dtype, one.terms, one.roundings));
  }
}

void check_determinism(const OperationCase& one) {
  const NoGrain no_grain;
  const int threads_before = num_threads();
  for (const Dtype dtype : {Dtype::f32, Dtype::bf16}) {
    const std::vector<Tensor> values = draw_inputs(one, dtype);
    set_num_threads(1);
    const Result first = run(one, values);
    for (const int threads : {1, 2, 3, 4, 8}) {
      INFO(dtype << ", same bits with " << threads << " threads");
      set_num_threads(threads);
      CHECK(same_bits(run(one, values), first));
    }
    INFO(dtype << ", same output without history");
    const NoGrad no_grad;
    const std::vector<bool> none(values.size(), false);
    CHECK(test::same_bits(run(one.function, values, none).y, first.y));
  }
  set_num_threads(threads_before);
}

void check_repeated_use(const OperationCase& one) {
  const std::vector<Tensor> values = draw_inputs(one, Dtype::f64);
  const Result once = run(one, values);
  Result expected = once;
  Function repeated = one.function;
  for (int times = 2; times <= 3; ++times) {
    INFO("all inputs used " << times << " times");
    repeated = [before = repeated, &one](const Inputs& x) { return F::add(before(x), one.function(x)); };
    expected.y = F::add(expected.y, once.y).value();
    for (size_t i = 0; i < values.size(); ++i) {
      if (!once.gradients[i].defined()) continue;
      expected.gradients[i] = F::add(expected.gradients[i], once.gradients[i]).value();
    }
    check_near(run(repeated, values, required(one)), expected, 1e-13);
  }
}

/// Two inputs of one kind: passing one variable as both must give the sum of both gradients.
void check_shared_input(const OperationCase& one) {
  for (size_t j = 1; j < one.inputs.size(); ++j) {
    const Input &a = one.inputs[j - 1], &b = one.inputs[j];
    const bool are_alike = a.shape == b.shape && a.fill == b.fill && a.requires_grad && b.requires_grad;
    if (!are_alike) continue;
    INFO("one variable as inputs " << j - 1 << " and " << j);
    std::vector<Tensor> values = draw_inputs(one, Dtype::f64);
    values[j] = values[j - 1].clone();
    Result expected = run(one, values);
    expected.gradients[j - 1] = F::add(expected.gradients[j - 1], expected.gradients[j]).value();
    std::vector<bool> flags = required(one);
    flags[j] = false;
    expected.gradients[j] = Tensor();
    const auto shared = [&](Inputs x) {
      x[j] = x[j - 1];
      return one.function(x);
    };
    check_near(run(shared, values, flags), expected, 1e-13);
  }
}

/// An input, or the result, that changes between forward and backward: an Error that says so, or the
/// gradients of the old numbers, where the backward pass does not need it.
void check_changed_value(const OperationCase& one) {
  const std::vector<Tensor> values = draw_inputs(one, Dtype::f32);
  const Result wanted = run(one, values);
  for (size_t changed = 0; changed <= values.size(); ++changed) {
    INFO("changed before backward: " << (changed < values.size() ? str("input ", changed) : "the result"));
    std::vector<Tensor> own;
    for (const Tensor& value : values) own.push_back(value.clone());
    const Inputs inputs = variables(own, required(one));
    const Variable y = one.function(inputs);
    if (!y.requires_grad()) return;
    Tensor victim = changed < values.size() ? own[changed] : y.value();
    victim.copy_from(cast(Tensor::full(victim.shape(), 3.25, Dtype::f32), victim.dtype()));
    try {
      y.backward(cast(draw(y.shape(), Fill::normal, kProjection), y.dtype()));
      for (size_t i = 0; i < inputs.size(); ++i) {
        CHECK(test::same_bits(inputs[i].grad(), wanted.gradients[i]));
      }
    } catch (const Error& error) {
      CHECK_THAT(error.what(), Catch::Contains("but it was changed since"));
    }
  }
}

void check_recorded_name(const std::string& operation, const OperationCase& one) {
  bool was_recorded = false;
  const OperationObserver observer([&](std::string_view name, const Tensor&, std::span<const Variable>) {
    was_recorded = was_recorded || name == operation;
  });
  run(one, draw_inputs(one, Dtype::f32));
  CHECK(was_recorded);
}

}  // namespace

void check_operation(const std::string& operation, const std::vector<OperationCase>& cases) {
  REQUIRE_FALSE(cases.empty());
  for (const OperationCase& one : cases) {
    INFO(operation << ": " << one.name);
    const int64_t violations_before = AllocatorGuard::violations(), unread_before = AllocatorGuard::unread();
    {
      const AllocatorGuard guard;
      check_recorded_name(operation, one);
      check_gradient(one);
      check_precision(one);
      check_determinism(one);
      check_each_alone(one);
      check_repeated_use(one);
      check_shared_input(one);
      check_changed_value(one);
    }
    CHECK(AllocatorGuard::violations() == violations_before);
    CHECK(AllocatorGuard::unread() == unread_before);
  }
}

void check_same_function(const OperationCase& one, const Function& other, double tolerance) {
  INFO(one.name);
  const std::vector<Tensor> values = draw_inputs(one, Dtype::f64);
  check_near(run(one, values), run(other, values, required(one)), tolerance);
}

void check_error(const std::string& operation, const std::function<void()>& body) {
  std::string message = "no error";
  try {
    body();
  } catch (const Error& error) {
    message = error.what();
  }
  INFO(message);
  CHECK(message.starts_with(operation + ": "));
}

void check_near(const Tensor& found, const Tensor& wanted, double tolerance) {
  REQUIRE(found.shape() == wanted.shape());
  check_near(found, wanted.to_doubles(), tolerance);
}

void check_near(const Tensor& found, const std::vector<double>& wanted, double tolerance) {
  const std::vector<double> numbers = found.to_doubles();
  REQUIRE(numbers.size() == wanted.size());
  if (wanted.empty()) return;
  const double squares = std::inner_product(wanted.begin(), wanted.end(), wanted.begin(), 0.0);
  const double typical = std::sqrt(squares / static_cast<double>(wanted.size())) + 1e-3;
  for (size_t i = 0; i < wanted.size(); ++i) {
    const double allowed = tolerance * (std::abs(wanted[i]) + typical);
    const bool is_near = std::abs(numbers[i] - wanted[i]) <= allowed;  // false for NaN
    if (is_near) continue;
    INFO("element " << i << " of " << found << ": " << numbers[i] << ", wanted " << wanted[i] << " +- "
                    << allowed);
    CHECK(is_near);
    return;
  }
  SUCCEED();
}

double tolerance(Dtype dtype, int64_t terms, int64_t roundings) {
  const auto rounding = [](Dtype type) {
    switch (type) {
      case Dtype::f64: return 0x1p-53;
      case Dtype::f32: return 0x1p-24;
      case Dtype::f16: return 0x1p-11;
      default: return 0x1p-8;
    }
  };
  return 4 * rounding(dtype) * static_cast<double>(roundings) +
         4 * rounding(accumulator_of(dtype)) * std::sqrt(static_cast<double>(terms));
}

std::vector<Device> devices() {
  std::vector<Device> all{Device::cpu()};
  if (cuda_status().device_count > 0) all.push_back(Device::cuda());
  return all;
}

Variable parameter(const std::vector<double>& values, const Shape& shape) {
  return Variable(Tensor::from(values, shape), /*requires_grad=*/true);
}

Tensor cast(const Tensor& x, Dtype dtype) {
  if (x.dtype() == dtype) return x;
  Tensor y = Tensor::empty(x.shape(), dtype);
  kernels::cast_forward(x, y);
  return y;
}

bool same_bits(const Tensor& a, const Tensor& b) {
  if (!a.defined() || !b.defined()) return a.defined() == b.defined();
  const Tensor host_a = a.to(Device::cpu()), host_b = b.to(Device::cpu());
  return a.shape() == b.shape() && a.dtype() == b.dtype() &&
         std::memcmp(host_a.raw(), host_b.raw(), a.bytes()) == 0;
}

}  // namespace fovea::test
