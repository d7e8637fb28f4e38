#include "fovea/core/random.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "op_test.h"

using namespace fovea;
using namespace fovea::test;

TEST_CASE("philox: the known answers of the Random123 distribution") {
  using Block = std::array<uint32_t, 4>;
  CHECK(philox({0, 0, 0, 0}, {0, 0}) == Block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  const uint32_t ones = 0xffffffff;
  CHECK(philox({ones, ones, ones, ones}, {ones, ones}) ==
        Block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
        Block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("Random: numbers in order are those of the blocks") {
  const Random blocks(9, Purpose::test, 3, 4);
  Random stream(9, Purpose::test, 3, 4);
  for (uint32_t i = 0; i < 41; ++i) CHECK(stream.next() == blocks.block(i / 4)[i % 4]);
}

TEST_CASE("Random: every part of the key makes another stream") {
  const std::array<uint32_t, 4> first = Random(1, Purpose::test, 2, 3).block(0);
  CHECK(Random(1, Purpose::test, 2, 3).block(0) == first);
  CHECK(Random(2, Purpose::test, 2, 3).block(0) != first);
  CHECK(Random(1 + (uint64_t{1} << 32), Purpose::test, 2, 3).block(0) != first);
  CHECK(Random(1, Purpose::dropout, 2, 3).block(0) != first);
  CHECK(Random(1, Purpose::test, 3, 3).block(0) != first);
  CHECK(Random(1, Purpose::test, 2, 4).block(0) != first);
}

TEST_CASE("Random: below gives every number equally often") {
  Random random(1, Purpose::test);
  std::vector<int> counts(7, 0);
  for (int i = 0; i < 70000; ++i) ++counts[random.below(7)];
  for (const int count : counts) CHECK(count == Approx(10000).margin(400));  // four deviations
  CHECK(random.below(1) == 0);
  CHECK_THROWS_AS(random.below(0), Error);
  for (int i = 0; i < 100; ++i) CHECK(random.below(0x80000001u) <= 0x80000000u);
}

TEST_CASE("Random: moments of uniform and normal numbers") {
  const int count = 100000;
  Random random(2, Purpose::test);
  double uniform_sum = 0, normal_sum = 0, normal_squares = 0;
  for (int i = 0; i < count; ++i) {
    const double u = static_cast<double>(random.uniform());
    REQUIRE((u >= 0 && u < 1));
    uniform_sum += u;
    const double n = static_cast<double>(random.normal());
    REQUIRE(std::isfinite(n));
    normal_sum += n;
    normal_squares += n * n;
  }
  CHECK(uniform_sum / count == Approx(0.5).margin(0.004));
  CHECK(normal_sum / count == Approx(0).margin(0.013));
  CHECK(normal_squares / count == Approx(1).margin(0.018));
}

TEST_CASE("normal and uniform: tensors of one stream, in each dtype") {
  const Tensor wide = normal({1000}, Random(3, Purpose::test), 2.0f, Dtype::f64);
  check_near(normal({1000}, Random(3, Purpose::test), 2.0f, Dtype::f32), wide, tolerance(Dtype::f32));
  check_near(normal({1000}, Random(3, Purpose::test), 2.0f, Dtype::bf16), wide, tolerance(Dtype::bf16));
  const std::vector<double> numbers = uniform({1000}, Random(4, Purpose::test), -3, 5).to_doubles();
  const auto [low, high] = std::minmax_element(numbers.begin(), numbers.end());
  CHECK((*low >= -3 && *low < -2.9));
  CHECK((*high < 5 && *high > 4.9));
  check_error("random", [] { normal({2}, Random(1, Purpose::test), 1.0f, Dtype::i32); });
}

TEST_CASE("Rng: each parameter has its own stream") {
  Rng one(7), two(7), other(8);
  const std::array<uint32_t, 4> first = one.next().block(0);
  CHECK(two.next().block(0) == first);
  CHECK(one.next().block(0) != first);
  CHECK(other.next().block(0) != first);
}
