#include "fovea/core/profile.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <thread>

#include "fovea/core/captured_graph.h"
#include "fovea/core/check.h"
#include "fovea/kernels/arithmetic.h"
#include "fovea/kernels/batch_norm.h"
#include "fovea/kernels/conv.h"
#include "fovea/kernels/matmul.h"
#include "fovea/kernels/relu.h"
#include "op_test.h"
#include "tiny_classifier.h"

namespace fovea {
namespace {

/// What was called while `body` ran.
template <class Body>
std::vector<KernelCall> calls_of(const Body& body) {
  set_profiling(true);
  body();
  set_profiling(false);
  return profiled_calls();
}

/// Two tensors as one argument, of which the second may be undefined.
struct Pair {
  Tensor first, second;

  template <class Visit>
  void for_each_tensor(Visit&& visit) const {
    visit(first);
    visit(second);
  }
};

/// y = relu(first), by way of a tensor of its own.
void relu_by_copy(const Pair& pair, Tensor& y) {
  Tensor scratch = Tensor::empty_like(y);
  kernels::relu_forward(pair.first, scratch);
  kernels::relu_forward(scratch, y);
}
constexpr kernels::Kernel<void(const Pair&, Tensor&)> composed("composed", &relu_by_copy, &relu_by_copy);

/// y = pair.first * pair.second, for [2, 2] each, which it says takes `kClaimed` multiply-adds instead of 8.
template <int64_t kClaimed>
constexpr kernels::Kernel<void(const Pair&, Tensor&)> product_of_pair(
    "product_of_pair",
    [](const Pair& pair, Tensor& y) {
      kernels::matmul_forward(pair.first, /*transpose_a=*/false, pair.second, /*transpose_b=*/false,
                              /*bias=*/{}, y);
    },
    nullptr, [](const Pair&, Tensor&) { return kClaimed; });

TEST_CASE("profile: a call is kept with its shapes, bytes and time, on every device") {
  for (const Device device : test::devices()) {
    INFO(device);
    const Tensor x = Tensor::full({3, 5}, 2.0, Dtype::f32, device);
    Tensor y = Tensor::empty_like(x);
    const double before = profile_clock();
    const std::vector<KernelCall> calls = calls_of([&] { kernels::relu_forward(x, y); });
    const double after = profile_clock();
    REQUIRE(calls.size() == 1);
    const KernelCall& call = calls[0];
    CHECK(call.name == "relu_forward");
    CHECK(call.shapes == "f32[3, 5], f32[3, 5]");
    CHECK(call.bytes == 2 * 15 * 4);
    CHECK(call.multiply_adds == 0);
    CHECK(call.begin >= before);
    CHECK(call.seconds >= 0);
    CHECK(call.begin + call.seconds <= after);
    CHECK(call.self_seconds == call.seconds);
    CHECK(call.thread == profiled_thread());
  }
}

TEST_CASE("profile: nothing is kept while it is off, and turning it on forgets") {
  const Tensor x = Tensor::full({4}, 1.0);
  Tensor y = Tensor::empty_like(x);
  CHECK(calls_of([] {}).empty());
  kernels::relu_forward(x, y);
  CHECK(profiled_calls().empty());
  CHECK_FALSE(is_profiling());
  CHECK(calls_of([&] { kernels::relu_forward(x, y); }).size() == 1);
  CHECK(calls_of([] {}).empty());
}

TEST_CASE("profile: a storage counts once in a call, parts of it each for themselves") {
  const Tensor whole = Tensor::full({8}, 1.0);
  Tensor first = whole.slice(0, {4}), second = whole.slice(4, {4});
  CHECK(calls_of([&] { kernels::add_forward(first, second, first); })[0].bytes == 2 * 4 * 4);
  CHECK(calls_of([&] { kernels::add_forward(first, first, first); })[0].bytes == 4 * 4);
}

TEST_CASE("profile: copies and fills are calls, too") {
  for (const Device device : test::devices()) {
    INFO(device);
    const Tensor x = Tensor::full({6}, 3.0, Dtype::f32, device);
    Tensor y = Tensor::empty_like(x);
    const std::vector<KernelCall> calls = calls_of([&] {
      y.fill_with_zeros();
      y.copy_from(x);
    });
    REQUIRE(calls.size() == 2);
    CHECK(calls[0].name == "fill_with_zeros");
    CHECK(calls[0].bytes == 6 * 4);
    CHECK(calls[1].name == "copy");
    CHECK(calls[1].bytes == 2 * 6 * 4);
  }
}

TEST_CASE("profile: multiply-adds of convolutions and products, on every device") {
  for (const Device device : test::devices()) {
    INFO(device);
    const auto ones = [&](const Shape& shape) { return Tensor::full(shape, 1.0, Dtype::f32, device); };
    Tensor x = ones({2, 6, 7, 3}), weight = ones({5, 3, 3, 3}), y = ones({2, 3, 4, 5});
    const int64_t of_conv = 2 * 3 * 4 * 5 * (3 * 3 * 3);
    const Tensor a = ones({11, 4}), b = ones({11, 6});
    Tensor product = ones({4, 6});
    const auto compute = [&] {
      kernels::conv_forward(x, weight, {}, /*stride=*/2, /*padding=*/1, y);
      kernels::conv_backward_input(y, weight, /*stride=*/2, /*padding=*/1, x);
      kernels::conv_backward_weight(x, y, /*stride=*/2, /*padding=*/1, weight);
      kernels::matmul_forward(a, /*transpose_a=*/true, b, /*transpose_b=*/false, {}, product);
    };
    compute();  // engines are chosen, which calls kernels, too
    synchronize(device);
    const std::vector<KernelCall> calls = calls_of(compute);
    REQUIRE(calls.size() == 4);
    for (size_t i = 0; i < 3; ++i) CHECK(calls[i].multiply_adds == of_conv);
    CHECK(calls[3].multiply_adds == 4 * 6 * 11);
  }
}

TEST_CASE("profile: a kernel made of others has the multiply-adds that they have not") {
  const Pair pair{Tensor::full({2, 2}, 1.0), Tensor::full({2, 2}, 1.0)};
  Tensor y = Tensor::empty({2, 2});
  const std::vector<KernelCall> more = calls_of([&] { product_of_pair<11>(pair, y); });
  REQUIRE(more.size() == 2);  // the inner one ends first
  CHECK(more[0].multiply_adds == 8);
  CHECK(more[1].multiply_adds == 3);
  // One that is put together from others may do more than it must.
  CHECK(calls_of([&] { product_of_pair<5>(pair, y); })[1].multiply_adds == 0);
}

TEST_CASE("MultiplyAddCounter: counts those of its thread while it lives, profiled or not") {
  const Pair pair{Tensor::full({2, 2}, 1.0), Tensor::full({2, 2}, 1.0)};
  Tensor y = Tensor::empty({2, 2});
  product_of_pair<11>(pair, y);
  const MultiplyAddCounter counter;
  CHECK(counter.count() == 0);
  product_of_pair<11>(pair, y);
  CHECK(counter.count() == 11);
  std::thread([&] {
    Tensor elsewhere = Tensor::empty({2, 2});
    product_of_pair<11>(pair, elsewhere);
  }).join();
  CHECK(counter.count() == 11);
  const MultiplyAddCounter inner;
  CHECK(calls_of([&] { product_of_pair<11>(pair, y); }).size() == 2);
  CHECK(inner.count() == 11);
  CHECK(counter.count() == 22);
  set_profiling(true);
  set_profiling(false);
  product_of_pair<5>(pair, y);
  CHECK(inner.count() == 19);
  CHECK(profiled_calls().empty());
}

TEST_CASE("profile: vectors beside larger tensors are left out of the shapes, not of the bytes") {
  const Tensor x = Tensor::full({3, 8}, 1.0), one = Tensor::full({8}, 1.0);
  Tensor y = Tensor::empty({3, 8});
  const std::vector<KernelCall> calls = calls_of([&] {
    kernels::batch_norm_forward(x, {one, one.clone(), one.clone(), one.clone()}, /*has_relu=*/true, y);
  });
  const auto call = std::find_if(calls.begin(), calls.end(), [](const KernelCall& one_call) {
    return one_call.name == "batch_norm_forward";
  });
  REQUIRE(call != calls.end());
  CHECK(call->shapes == "f32[3, 8], f32[3, 8]");
  CHECK(call->bytes == (2 * 3 + 4) * 8 * 4);
}

TEST_CASE("profile: a kernel made of others has the rest of the time, and its bytes count once") {
  const Pair pair{Tensor::full({8}, 1.0), Tensor()};
  Tensor y = Tensor::empty({8});
  const std::vector<KernelCall> calls = calls_of([&] { composed(pair, y); });
  REQUIRE(calls.size() == 3);  // the inner ones end first
  const KernelCall &first = calls[0], &second = calls[1], &outer = calls[2];
  CHECK(outer.name == "composed");
  CHECK(outer.shapes == "f32[8], f32[8]");
  CHECK(outer.bytes == 2 * 8 * 4);
  CHECK(first.bytes == 8 * 4);  // what lies between the two alone
  CHECK(second.bytes == 8 * 4);
  CHECK(outer.self_seconds == Approx(outer.seconds - first.seconds - second.seconds).margin(1e-12));
  CHECK(first.self_seconds == first.seconds);
  CHECK(first.begin >= outer.begin);
  CHECK(second.begin + second.seconds <= outer.begin + outer.seconds);
}

TEST_CASE("profile: a kernel that fails is no caller of the next") {
  const Tensor x = Tensor::full({4}, 1.0), wrong = Tensor::full({4}, 1.0, Dtype::i32);
  Tensor y = Tensor::empty_like(x), integers = Tensor::empty_like(wrong);
  const std::vector<KernelCall> calls = calls_of([&] {
    CHECK_THROWS_AS(kernels::relu_forward(wrong, integers), Error);
    kernels::relu_forward(x, y);
  });
  REQUIRE(calls.size() == 2);
  CHECK(calls[1].bytes == 2 * 4 * 4);
  CHECK(calls[0].self_seconds == calls[0].seconds);
}

TEST_CASE("profile: kernels of another thread have its number, and no caller here") {
  const Tensor x = Tensor::full({4}, 1.0);
  Tensor y = Tensor::empty_like(x), z = Tensor::empty_like(x);
  const std::vector<KernelCall> calls = calls_of([&] {
    const ProfileScope scope("around", [&](const auto& visit) { visit(x); });
    std::thread([&] { kernels::relu_forward(x, y); }).join();
    kernels::relu_forward(x, z);
  });
  REQUIRE(calls.size() == 3);
  CHECK(calls[0].thread != calls[1].thread);
  CHECK(calls[0].bytes == 2 * 4 * 4);
  CHECK(calls[1].bytes == 4 * 4);
  CHECK(calls[2].name == "around");
  CHECK(calls[2].self_seconds == Approx(calls[2].seconds - calls[1].seconds).margin(1e-12));
}

TEST_CASE("profile: a training run gives the profile of its steps, and the numbers of one without") {
  const ImageSet train = test::tiny_images(35, 1);
  for (const Device device : test::devices()) {
    const auto losses_with = [&](int64_t steps, std::vector<Profile>& profiles) {
      std::vector<double> losses;
      TrainingSettings settings = test::tiny_settings();
      settings.profile_steps = steps;
      settings.hooks.on_step = [&](const StepReport& report) {
        CHECK_FALSE(is_profiling());
        losses.push_back(report.loss);
      };
      settings.hooks.on_profile = [&](const Profile& profile) { profiles.push_back(profile); };
      Classifier classifier = test::tiny_classifier(1);
      move_to(classifier.model(), device);
      classifier.train(train, settings);
      return losses;
    };
    std::vector<Profile> none, profiles, cut_off;
    const std::vector<double> losses = losses_with(0, none);
    REQUIRE(losses.size() == 12);
    CHECK(none.empty());
    CHECK(losses_with(3, profiles) == losses);
    REQUIRE(profiles.size() == 1);
    const Profile& profile = profiles[0];
    REQUIRE(profile.steps.size() == 3);
    // Every step does the same, and within its time.
    for (const char* name : {"conv_forward", "conv_backward_weight", "sgd_step", "begin_step"}) {
      INFO(device << " " << name);
      std::vector<int64_t> counts(3);
      for (const KernelCall& call : profile.calls) {
        if (call.name != name) continue;
        CHECK(call.thread == profile.thread);
        for (size_t i = 0; i < 3; ++i) {
          const ProfiledStep& step = profile.steps[i];
          if (call.begin >= step.begin && call.begin < step.begin + step.seconds) ++counts[i];
        }
      }
      CHECK(counts[0] > 0);
      CHECK((counts[1] == counts[0] && counts[2] == counts[0]));
    }
    CHECK(losses_with(100, cut_off) == losses);
    REQUIRE(cut_off.size() == 1);
    CHECK(cut_off[0].steps.size() == 10);  // the run has 12, and two come before
  }
  TrainingSettings settings = test::tiny_settings();
  settings.profile_steps = -1;
  CHECK_THROWS_AS(check_settings(settings), UsageError);
}

}  // namespace
}  // namespace fovea
