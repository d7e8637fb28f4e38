#include <algorithm>
#include <string>
#include <thread>
#include <vector>

#include "fovea/core/lru_cache.h"
#include "fovea/core/parallel_for.h"
#include "fovea/kernels/conv.h"
#include "fovea/layers/functional.h"
#include "op_test.h"

using namespace fovea;
using namespace fovea::test;
using kernels::conv_plan_counts;

namespace {

/// A convolution whose plan depends on `size`: 3x3 of stride 2, which is oneDNN's.
Tensor convolve(int64_t size) {
  const Tensor x = Tensor::full({1, 3, size, 8}, 1.0), weight = Tensor::full({8, 3, 3, 8}, 0.5);
  return F::conv(x, weight, {}, /*stride=*/2, /*padding=*/1).value();
}

/// Whether every number is what it must be: 8 channels of as many pixels as the window has inside x, halved.
bool is_right(const Tensor& y, int64_t size) {
  const auto inside = [](int64_t at, int64_t extent) {
    return std::min<int64_t>(2 * at + 2, extent) - std::max<int64_t>(2 * at - 1, 0);
  };
  for (int64_t p = 0; p < y.shape(1); ++p) {
    for (int64_t q = 0; q < y.shape(2); ++q) {
      const float wanted = 0.5f * 8 * static_cast<float>(inside(p, 3) * inside(q, size));
      for (int64_t k = 0; k < 8; ++k) {
        if (y.data<float>()[(p * y.shape(2) + q) * 8 + k] != wanted) return false;
      }
    }
  }
  return true;
}

bool has_plans() {
  if (conv_plan_counts().most == 0) WARN("skipped: this build has no oneDNN");
  return conv_plan_counts().most > 0;
}

}  // namespace

TEST_CASE("lru_cache: the least recently used goes, and what was handed out stays") {
  LruCache<int, std::string> cache(2);
  CHECK(cache.find(1) == nullptr);
  const auto first = cache.add(1, "one");
  cache.add(2, "two");
  CHECK(*cache.find(1) == "one");  // 2 is now the one used longest ago
  cache.add(3, "three");
  CHECK(cache.size() == 2);
  CHECK(cache.find(2) == nullptr);
  CHECK(cache.find(1) == first);
  cache.add(4, "four");
  cache.add(5, "five");
  CHECK(cache.find(1) == nullptr);
  CHECK(*first == "one");
}

TEST_CASE("plan_cache: many image sizes keep a bounded number of plans, and those used last") {
  if (!has_plans()) return;
  const int64_t most = conv_plan_counts().most, begin = conv_plan_counts().made;
  for (int64_t size = 1; size <= most + 50; ++size) {
    REQUIRE(is_right(convolve(size), size));
    REQUIRE(conv_plan_counts().kept <= most);
    convolve(1);  // never the one used longest ago
  }
  CHECK(conv_plan_counts().kept == most);
  const int64_t made = conv_plan_counts().made;
  CHECK(made == begin + most + 50);
  for (int64_t size = most + 50; size > 60; --size) convolve(size);
  convolve(1);
  CHECK(conv_plan_counts().made == made);
  convolve(2);  // gone
  CHECK(conv_plan_counts().made == made + 1);
}

TEST_CASE("plan_cache: a plan that goes while another thread convolves with it stays as long as it is used") {
  if (!has_plans()) return;
  const int64_t most = conv_plan_counts().most;
  std::vector<std::thread> threads;
  std::vector<int> wrong(4, 0);
  for (size_t t = 0; t < wrong.size(); ++t) {
    threads.emplace_back([&, t] {
      const SerialScope serial;
      for (int64_t i = 0; i < most / 2; ++i) {
        const int64_t size = 1 + static_cast<int64_t>(t) * most / 2 + i;
        if (!is_right(convolve(size), size) || !is_right(convolve(1), 1)) ++wrong[t];
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == std::vector<int>(4, 0));
  CHECK(conv_plan_counts().kept == most);
}
