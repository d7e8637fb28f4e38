#include "fovea/kernels/training_counters.h"

#include <catch2/catch.hpp>

#include "op_test.h"

using namespace fovea;
using namespace fovea::test;

TEST_CASE("step: rates are looked up, losses, failures and correct answers noted") {
  for (const Device device : devices()) {
    INFO(device);
    const Tensor rates = Tensor::from<float>({0.5f, 0.25f, 0.125f}, {3}).to(device);
    Tensor position = whole(1, device), rate = Tensor::empty({}, Dtype::f32, device);
    kernels::begin_step(rates, position, rate);
    CHECK(rate.item() == 0.25);

    Tensor losses = Tensor::zeros({3}, Dtype::f32, device), failures = Tensor::zeros({3}, Dtype::i64, device);
    Tensor corrects = Tensor::zeros({3}, Dtype::i64, device);
    kernels::record_step(Tensor::full({}, 2.5, Dtype::f32, device), whole(7, device), whole(5, device),
                         position, losses, failures, corrects);
    CHECK(position.item() == 2);
    CHECK(losses.to_doubles() == std::vector<double>{0, 2.5, 0});
    CHECK(failures.to_doubles() == std::vector<double>{0, 7, 0});
    CHECK(corrects.to_doubles() == std::vector<double>{0, 5, 0});
    kernels::begin_step(rates, position, rate);
    CHECK(rate.item() == 0.125);
  }
}

TEST_CASE("step: a step that is skipped does not count") {
  for (const Device device : devices()) {
    Tensor steps = whole(4, device);
    kernels::count_step(Tensor(), steps);
    kernels::count_step(whole(0, device), steps);
    kernels::count_step(whole(3, device), steps);
    CHECK(steps.item() == 6);
  }
}

TEST_CASE("step: what a step has changed stays, unless it failed") {
  for (const Device device : devices()) {
    INFO(device);
    for (const int64_t size : {1, 3, 4, 37, 4099}) {
      const auto check_all = [&](const Tensor& x, double value) {
        CHECK(x.to_doubles() == std::vector<double>(static_cast<size_t>(size), value));
      };
      Tensor before = Tensor::full({size}, 0.25, Dtype::f32, device);
      Tensor x = Tensor::full({size}, 3, Dtype::f32, device);
      kernels::settle_step(whole(2, device), x, before);
      check_all(x, 0.25);
      check_all(before, 0.25);
      x = Tensor::full({size}, 3, Dtype::f32, device);
      kernels::settle_step(whole(0, device), x, before);
      check_all(x, 3);
      check_all(before, 3);
    }
  }
}

TEST_CASE("step: the loss scale halves after a failure and doubles after enough good steps") {
  for (const Device device : devices()) {
    INFO(device);
    Tensor scale = Tensor::full({}, 8, Dtype::f32, device),
           inverse = Tensor::full({}, 0.125, Dtype::f32, device);
    Tensor good_steps = whole(0, device);
    const auto update = [&](int64_t failures) {
      Tensor non_finite = whole(failures, device);
      kernels::update_loss_scale(/*patience=*/3, whole(0, device), scale, inverse, good_steps, non_finite);
      CHECK(non_finite.item() == 0);
      CHECK(inverse.item() == 1 / scale.item());
      return scale.item();
    };
    CHECK(update(0) == 8);
    CHECK(update(0) == 8);
    CHECK(update(0) == 16);
    CHECK(update(0) == 16);
    CHECK(update(2) == 8);
    CHECK(good_steps.item() == 0);
    for (int i = 0; i < 5; ++i) update(1);
    CHECK(scale.item() == 1);
    CHECK(update(0) == 1);

    // A loss that is not finite is no matter of the scale: this step and those after it remain failures.
    scale = Tensor::full({}, 8, Dtype::f32, device);
    Tensor non_finite = whole(4, device);
    kernels::update_loss_scale(/*patience=*/3, whole(1, device), scale, inverse, good_steps, non_finite);
    CHECK(scale.item() == 8);
    CHECK(inverse.item() == 1);
    CHECK(good_steps.item() == 1);
    CHECK(non_finite.item() == 4);
  }
}
