#include <catch2/catch.hpp>
#include <limits>

#include "fovea/core/random.h"
#include "fovea/kernels/conv.h"
#include "fovea/kernels/cuda/add_bias.h"
#include "fovea/kernels/cuda/conv/check.h"
#include "fovea/kernels/cuda/conv/pad_channels.h"
#include "fovea/kernels/cuda/conv/reference.h"
#include "has_device.h"
#include "op_test.h"

// The kernels written by hand that stand beside cuDNN.
using namespace fovea;
using namespace fovea::test;
using kernels::ConvPass;
using kernels::cuda::ConvKey;
using kernels::cuda::ConvTensors;

namespace {

constexpr ConvPass kPasses[] = {ConvPass::forward, ConvPass::backward_input, ConvPass::backward_weight};
constexpr Dtype kDtypes[] = {Dtype::f32, Dtype::bf16, Dtype::f16};

Tensor numbers(const Shape& shape, Dtype dtype, uint32_t stream) {
  return normal(shape, Random(/*seed=*/3, Purpose::test, 0, stream), 1.0f, dtype);
}
Tensor unwritten(const Shape& shape, Dtype dtype, Device device = Device::cuda()) {
  return Tensor::full(shape, std::numeric_limits<double>::quiet_NaN(), dtype, device);
}

/// What the CPU computes in f64 from the same numbers.
Tensor wanted(const ConvKey& problem, const ConvTensors& tensors) {
  const Tensor x = cast(tensors.x, Dtype::f64), weight = cast(tensors.weight, Dtype::f64),
               y = cast(tensors.y, Dtype::f64);
  ConvTensors wide{x, weight, y};
  Tensor& result = wide.result(problem.pass);
  result = unwritten(result.shape(), Dtype::f64, Device::cpu());
  switch (problem.pass) {
    case ConvPass::forward:
      kernels::conv_forward(x, weight, Tensor(), problem.stride, problem.padding, result);
      break;
    case ConvPass::backward_input:
      kernels::conv_backward_input(y, weight, problem.stride, problem.padding, result);
      break;
    case ConvPass::backward_weight:
      kernels::conv_backward_weight(x, y, problem.stride, problem.padding, result);
      break;
  }
  return result;
}

}  // namespace

TEST_CASE("conv_reference: near the CPU's f64") {
  if (!has_device()) return;
  for (const auto& [N, H, W, C, K, R, S, stride, padding] :
       std::vector<std::array<int64_t, 9>>{{1, 1, 1, 1, 1, 1, 1, 1, 0},
                                           {1, 5, 7, 1, 1, 3, 3, 1, 1},
                                           {2, 4, 4, 3, 5, 3, 3, 2, 1},
                                           {3, 5, 4, 7, 1, 1, 1, 2, 0},
                                           {2, 6, 5, 4, 8, 3, 3, 3, 2},
                                           {1, 8, 8, 3, 4, 7, 7, 2, 3},
                                           {2, 3, 5, 2, 3, 1, 3, 1, 0}}) {
    for (const ConvPass pass : kPasses) {
      for (const Dtype dtype : kDtypes) {
        const ConvKey problem{{N, H, W, C, K, R, S, stride, padding}, pass, dtype, false};
        INFO(problem.str());
        const ConvTensors on_cpu{numbers(problem.x(), dtype, 0), numbers(problem.weight(), dtype, 1),
                                 numbers(problem.y(), dtype, 2)};
        ConvTensors tensors{on_cpu.x.to(Device::cuda()), on_cpu.weight.to(Device::cuda()),
                            on_cpu.y.to(Device::cuda())};
        Tensor& result = tensors.result(pass);
        result = unwritten(result.shape(), dtype);
        kernels::cuda::conv_reference(problem, tensors);
        check_near(result.to(Device::cpu()), wanted(problem, on_cpu), tolerance(dtype, problem.terms()));
      }
    }
  }
}

TEST_CASE("pad_channels: pads and cuts") {
  if (!has_device()) return;
  struct Case {
    Shape from, to;
  };
  for (const auto& [from, to] : {Case{{2, 3, 5, 3}, {2, 3, 5, 8}}, Case{{3, 1, 2, 5}, {8, 1, 2, 8}},
                                 Case{{8, 2, 1, 8}, {5, 2, 1, 3}}, Case{{1, 1, 1, 7}, {1, 1, 1, 7}}}) {
    for (const Dtype dtype : kDtypes) {
      INFO(from << " to " << to << " " << dtype);
      const Tensor x = numbers(from, dtype, 0);
      Tensor y = unwritten(to, dtype);
      kernels::cuda::pad_channels("conv", x.to(Device::cuda()), y);
      const std::vector<double> source = x.to_doubles();
      std::vector<double> expected;
      for (int64_t n = 0; n < to[0]; ++n) {
        for (int64_t pixel = 0; pixel < to[1] * to[2]; ++pixel) {
          for (int64_t c = 0; c < to[3]; ++c) {
            const int64_t i = (n * from[1] * from[2] + pixel) * from[3] + c;
            expected.push_back(n < from[0] && c < from[3] ? source[static_cast<size_t>(i)] : 0.0);
          }
        }
      }
      CHECK(y.to(Device::cpu()).to_doubles() == expected);
    }
  }
}

TEST_CASE("add_bias: adds a row to every row") {
  if (!has_device()) return;
  for (const int64_t K : {1, 3, 8, 12, 16}) {
    for (const Dtype dtype : kDtypes) {
      const Tensor bias = numbers({K}, dtype, 0), before = numbers({5, 7, K}, dtype, 1);
      Tensor y = before.clone().to(Device::cuda());
      kernels::cuda::add_bias("conv", bias.to(Device::cuda()), y);
      std::vector<double> sums = before.to_doubles();
      for (size_t i = 0; i < sums.size(); ++i) sums[i] += bias.to_doubles()[i % static_cast<size_t>(K)];
      check_near(y.to(Device::cpu()), Tensor::from(sums, before.shape()), tolerance(dtype, 2));
    }
  }
}

TEST_CASE("conv_check: noise has mean 0 and variance 1, and another seed gives other noise") {
  if (!has_device()) return;
  for (const Dtype dtype : kDtypes) {
    Tensor noise = unwritten({10007}, dtype), other = unwritten({10007}, dtype);
    kernels::cuda::fill_with_noise(noise, 2);
    kernels::cuda::fill_with_noise(other, 3);
    double sum = 0, squares = 0;
    for (const double number : noise.to(Device::cpu()).to_doubles()) {
      sum += number;
      squares += number * number;
    }
    CHECK(std::abs(sum / 10007) < 0.03);
    CHECK(std::abs(squares / 10007 - 1) < 0.03);
    CHECK_FALSE(same_bits(noise.to(Device::cpu()), other.to(Device::cpu())));
  }
}

TEST_CASE("conv_check: every planted difference is counted") {
  if (!has_device()) return;
  for (const Dtype dtype : kDtypes) {
    const Tensor wanted = numbers({1009}, dtype, 0).to(Device::cuda());
    const auto differences = [&](int64_t place, double number, double allowed) {
      std::vector<double> changed = wanted.to(Device::cpu()).to_doubles();
      changed[static_cast<size_t>(place)] = number;
      const Tensor found = cast(Tensor::from(changed, {1009}), dtype).to(Device::cuda());
      return kernels::cuda::count_differences(found, wanted, allowed, 1.0);
    };
    CHECK(kernels::cuda::count_differences(wanted, wanted, 0, 0) == 0);
    CHECK(differences(0, 100, 1e-2) == 1);
    CHECK(differences(1008, std::numeric_limits<double>::quiet_NaN(), 1e-2) == 1);
    CHECK(differences(1008, std::numeric_limits<double>::infinity(), 1e-2) == 1);
    CHECK(differences(500, 100, 1e3) == 0);
    Tensor noise = unwritten({1009}, dtype);
    kernels::cuda::fill_with_noise(noise, 1);
    CHECK(kernels::cuda::count_differences(noise, wanted, 1e-6, 0) > 1000);
  }
}
