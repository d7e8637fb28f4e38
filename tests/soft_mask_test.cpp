#include "fovea/layers/soft_mask.h"

#include <catch2/catch.hpp>

#include "layer_check.h"
#include "op_test.h"

namespace fovea {
namespace {

SoftMask make_mask(int64_t C, int64_t depth, int64_t r, MaskKind kind, bool extra_adds) {
  Rng rng(/*seed=*/5);
  SoftMask mask(C, depth, AttentionSettings{.r = r, .mask = kind, .extra_adds = extra_adds}, rng);
  convert_to(mask, Dtype::f64);
  return mask;
}

Variable random_map(const Shape& shape, uint32_t stream) {
  return test::random_tensor(shape, stream, Dtype::f64);
}

Variable pooled(const Variable& x) {
  return F::max_pool(x, /*window=*/3, /*stride=*/2, /*padding=*/1);
}

Variable upsampled(const Variable& x, const Variable& like) {
  return F::upsample(x, like.shape(1), like.shape(2));
}

Variable logits(SoftMask& mask, const Variable& y) {
  const Variable z = mask.conv1.forward(F::relu(mask.norm1.forward(y)));
  return mask.conv2.forward(F::relu(mask.norm2.forward(z)));
}

/// Number of residual units: of the parameters of that many, and of the two BN-ReLU-1x1.
int64_t units_in(SoftMask& mask, int64_t C) {
  Sequential<ResidualUnit>& middle = mask.middle;
  const int64_t unit = parameter_count(middle.layers[0]);
  const int64_t rest = parameter_count(mask) - 2 * (2 * C + C * C);
  REQUIRE(rest % unit == 0);
  return rest / unit;
}

TEST_CASE("soft mask: depth 2 is what the paper draws") {
  SoftMask mask = make_mask(/*C=*/8, /*depth=*/2, /*r=*/1, MaskKind::down_up, /*extra_adds=*/false);
  const Variable x = random_map({2, 7, 6, 8}, 0), trunk = random_map({2, 7, 6, 8}, 1);
  const Variable inner = mask.down[0].forward(pooled(x));      // [2, 4, 3, 8]
  const Variable bottom = mask.middle.forward(pooled(inner));  // [2, 2, 2, 8]
  const Variable skip = mask.skip[0].forward(inner);
  const Variable up = mask.up[0].forward(F::add(upsampled(bottom, inner), skip));
  const Variable expected = logits(mask, upsampled(up, x));
  CHECK(test::relative_distance(mask.forward(x, trunk).value(), expected.value()) < 1e-13);
}

TEST_CASE("soft mask: extra adds are the kept map and, at the last level, the trunk") {
  SoftMask mask = make_mask(/*C=*/8, /*depth=*/2, /*r=*/2, MaskKind::down_up, /*extra_adds=*/true);
  const Variable x = random_map({3, 5, 8, 8}, 0), trunk = random_map({3, 5, 8, 8}, 1);
  const Variable inner = mask.down[0].forward(pooled(x));
  const Variable bottom = mask.middle.forward(pooled(inner));
  const Variable with_skip = F::add(upsampled(bottom, inner), mask.skip[0].forward(inner));
  const Variable up = mask.up[0].forward(F::add(with_skip, inner));
  const Variable expected = logits(mask, F::add(upsampled(up, x), trunk));
  CHECK(test::relative_distance(mask.forward(x, trunk).value(), expected.value()) < 1e-13);
}

TEST_CASE("soft mask: depth 0 and local branches are units at full size") {
  const Variable x = random_map({2, 5, 6, 8}, 0), trunk = random_map({2, 5, 6, 8}, 1);
  for (const bool extra_adds : {false, true}) {
    for (const int64_t depth : {0, 3}) {
      SoftMask mask = make_mask(/*C=*/8, depth, /*r=*/1, MaskKind::local, extra_adds);
      const Variable expected = logits(mask, mask.middle.forward(x));
      CHECK(test::relative_distance(mask.forward(x, trunk).value(), expected.value()) < 1e-13);
    }
  }
}

TEST_CASE("soft mask: number of units, the same in both kinds") {
  const int64_t C = 8;
  for (const MaskKind kind : {MaskKind::down_up, MaskKind::local}) {
    const auto units = [&](int64_t depth, int64_t r) {
      SoftMask mask = make_mask(C, depth, r, kind, /*extra_adds=*/false);
      return units_in(mask, C);
    };
    CHECK(units(0, 1) == 2);
    CHECK(units(1, 1) == 2);
    CHECK(units(2, 1) == 5);  // 1 down, 1 skip, 2 in the middle, 1 up
    CHECK(units(3, 1) == 8);
    CHECK(units(3, 3) == 2 * (3 + 1 + 3) + 6);
  }
}

TEST_CASE("soft mask: gradient") {
  for (const bool extra_adds : {false, true}) {
    SoftMask mask = make_mask(/*C=*/4, /*depth=*/2, /*r=*/1, MaskKind::down_up, extra_adds);
    const Variable trunk = random_map({3, 6, 5, 4}, 9);
    test::check_layer_gradient(mask, [&](const Variable& x) { return mask.forward(x, trunk); }, {3, 6, 5, 4});
  }
}

TEST_CASE("soft mask: settings that make no sense are named") {
  test::check_error("SoftMask", [] { make_mask(8, -1, 1, MaskKind::down_up, false); });
  test::check_error("SoftMask", [] { make_mask(8, 1, 0, MaskKind::down_up, false); });
  CHECK(parse_enum<MaskKind>("down-up") == MaskKind::down_up);
  CHECK(parse_enum<MaskKind>("local") == MaskKind::local);
  CHECK_THROWS_AS(parse_enum<MaskKind>("up-down"), UsageError);
}

}  // namespace
}  // namespace fovea
