#include "fovea/layers/residual_unit.h"

#include <catch2/catch.hpp>

#include "fovea/core/allocator.h"
#include "fovea/kernels/cpu/vec.h"
#include "fovea/kernels/cpu_variant.h"
#include "fovea/training/precision.h"
#include "layer_check.h"
#include "op_test.h"

namespace fovea {
namespace {

ResidualUnit make_unit(int64_t C, int64_t K, int64_t stride) {
  Rng rng(/*seed=*/3);
  return ResidualUnit(C, K, stride, rng);
}

/// Products of packed panels want registers of 8 floats: all variants but the first may have them.
bool packs_filters() {
  return kernels::cpu_variant_index() > 0 || kernels::cpu::FOVEA_CPU_VARIANT::kLanes<float> >= 8;
}

Variable norm_relu(BatchNorm& norm, const Variable& x) {
  return F::relu(norm.forward(x));
}

Variable unfused(ResidualUnit& unit, const Variable& x, int64_t stride) {
  const Variable a = norm_relu(unit.norm1, x), none;
  Variable y = F::conv(a, unit.reduce.weight, none, /*stride=*/1, /*padding=*/0);
  y = F::conv(norm_relu(unit.norm2, y), unit.conv.weight, none, stride, /*padding=*/1);
  y = F::conv(norm_relu(unit.norm3, y), unit.expand.weight, none, /*stride=*/1, /*padding=*/0);
  return F::add(y, unit.project ? F::conv(a, unit.project->weight, none, stride, /*padding=*/0) : x);
}

TEST_CASE("residual unit: is the composition of its parts") {
  struct Case {
    int64_t C, K, stride;
  };
  for (const Case& one : {Case{8, 8, 1}, Case{4, 12, 1}, Case{8, 8, 2}, Case{6, 16, 2}}) {
    INFO("C " << one.C << ", K " << one.K << ", stride " << one.stride);
    ResidualUnit unit = make_unit(one.C, one.K, one.stride);
    convert_to(unit, Dtype::f64);
    const Variable x(test::random_tensor({3, 5, 4, one.C}, 0, Dtype::f64));
    for (const bool is_training : {true, false}) {
      unit.train(is_training);
      const Variable y = unit.forward(x);
      CHECK(y.shape() == Shape{3, (5 - 1) / one.stride + 1, (4 - 1) / one.stride + 1, one.K});
      CHECK(test::relative_distance(y.value(), unfused(unit, x, one.stride).value()) < 1e-13);
    }
  }
}

TEST_CASE("residual unit: projects only where shapes differ") {
  CHECK_FALSE(make_unit(8, 8, 1).project.has_value());
  CHECK(make_unit(8, 8, 2).project.has_value());
  CHECK(make_unit(4, 8, 1).project.has_value());
}

TEST_CASE("residual unit: number of parameters, by hand") {
  ResidualUnit same = make_unit(64, 64, 1);
  // BN 2*64, 1x1 64*16, BN 2*16, 3x3 9*16*16, BN 2*16, 1x1 16*64
  CHECK(parameter_count(same) == 128 + 1024 + 32 + 2304 + 32 + 1024);
  ResidualUnit wider = make_unit(16, 64, 2);
  CHECK(parameter_count(wider) == 32 + 256 + 32 + 2304 + 32 + 1024 + 16 * 64);
}

TEST_CASE("residual unit: gradient") {
  for (const int64_t stride : {1, 2}) {
    ResidualUnit unit = make_unit(4, 8, stride);
    test::check_layer_gradient(unit, [&](const Variable& x) { return unit.forward(x); }, {2, 5, 3, 4});
  }
  ResidualUnit same = make_unit(8, 8, 1);
  test::check_layer_gradient(same, [&](const Variable& x) { return same.forward(x); }, {3, 3, 4, 8});
}

TEST_CASE("residual unit: inference keeps its filters packed, and follows weights that change") {
  for (const Dtype dtype : {Dtype::f32, Dtype::bf16}) {
    for (const int64_t images : {1, 2}) {
      ResidualUnit unit = make_unit(64, 64, /*stride=*/1), fresh = make_unit(64, 64, /*stride=*/1);
      const NoGrad no_grad;
      for (ResidualUnit* each : {&unit, &fresh}) {
        set_precision(*each, dtype == Dtype::bf16 ? Precision::bf16 : Precision::f32);
        each->train(false);
      }
      const Variable x(test::random_tensor({images, 8, 8, 64}, 0, dtype));
      for (Conv* const changed : {&unit.reduce, &unit.conv, &unit.expand}) {
        const int64_t before = memory_stats().in_use;
        for (int i = 0; i < 3; ++i) unit.forward(x);
        if (packs_filters()) CHECK(memory_stats().in_use > before);
        const Tensor old = unit.forward(x).value();
        Tensor weight = changed->weight.value();
        weight.copy_from(test::random_tensor(weight.shape(), 1, dtype));
        const auto copy = [](Conv& to, const Conv& from) {
          Tensor(to.weight.value()).copy_from(from.weight.value());
        };
        copy(fresh.reduce, unit.reduce);
        copy(fresh.conv, unit.conv);
        copy(fresh.expand, unit.expand);
        const Tensor y = unit.forward(x).value();
        CHECK(test::relative_distance(y, fresh.forward(x).value()) == 0);
        CHECK(test::relative_distance(y, old) > 0.01);
      }
    }
  }
}

TEST_CASE("residual unit: channels that do not divide by four are named") {
  test::check_error("ResidualUnit", [] { make_unit(8, 10, 1); });
  test::check_error("ResidualUnit", [] { make_unit(8, 0, 1); });
}

}  // namespace
}  // namespace fovea
