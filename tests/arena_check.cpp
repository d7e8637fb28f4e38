#include "arena_check.h"

#include <catch2/catch.hpp>

#include "fovea/core/allocator.h"
#include "fovea/core/random.h"

namespace fovea::test {
namespace {

struct Variant {
  int64_t size;
  int64_t offset;  // of the arenas in their storage, in elements: 1 is no place for packs
  Dtype gradient;
  bool has_scale, has_copy;
  Dtype copy = Dtype::bf16;
};

std::vector<Variant> variants() {
  std::vector<Variant> all;
  // Packs are 4 wide, blocks of the CPU 4096 elements; the grid of the emulated device covers 16384.
  for (const int64_t size : {0, 1, 3, 4, 5, 1021, 4096, 40003}) {
    all.push_back({size, 0, Dtype::f32, false, false});
    all.push_back({size, 0, Dtype::bf16, true, true, Dtype::bf16});
    all.push_back({size, 0, Dtype::f16, true, true, Dtype::f16});
  }
  all.push_back({1021, 1, Dtype::bf16, true, true, Dtype::f16});
  all.push_back({1021, 0, Dtype::f16, false, true, Dtype::bf16});
  all.push_back({1021, 0, Dtype::f32, true, true, Dtype::f16});
  all.push_back({1021, 0, Dtype::bf16, false, false});
  return all;
}

/// Elements `offset` to `offset + size` of a tensor of `numbers` on the device.
Tensor placed(const Tensor& numbers, int64_t offset, Device device) {
  Tensor storage = Tensor::empty({numbers.size() + offset}, numbers.dtype(), device);
  Tensor place = storage.slice(offset, numbers.shape());
  place.copy_from(numbers.to(device));
  return place;
}

ArenaStep draw(const Variant& variant, int moments, int64_t non_finite) {
  const auto numbers = [&](uint32_t stream) {
    return uniform({variant.size}, Random(9, Purpose::test, 0, stream), 0.25f, 2.0f);
  };
  ArenaStep step;
  step.gradient = cast(normal({variant.size}, Random(9, Purpose::test)), variant.gradient);
  step.learning_rate = Tensor::full({}, 0.125);
  if (variant.has_scale) step.gradient_scale = Tensor::full({}, 0.75);
  step.non_finite = Tensor::from<int64_t>({non_finite}, {});
  for (int i = 0; i < moments; ++i) step.moments.push_back(numbers(2 + static_cast<uint32_t>(i)));
  step.weight = numbers(1);
  if (variant.has_copy) step.copy = Tensor::empty({variant.size}, variant.copy);
  return step;
}

/// The same step on `device`, on memory of its own.
ArenaStep copied(const ArenaStep& step, int64_t offset, Device device) {
  const auto moved = [&](const Tensor& tensor, int64_t place) {
    return tensor.defined() ? placed(tensor, place, device) : Tensor();
  };
  ArenaStep result{moved(step.gradient, offset),
                   moved(step.learning_rate, 0),
                   moved(step.gradient_scale, 0),
                   moved(step.non_finite, 0),
                   {},
                   moved(step.weight, offset),
                   moved(step.copy, offset)};
  for (const Tensor& moment : step.moments) result.moments.push_back(moved(moment, offset));
  return result;
}

/// In f64, with a gradient that has been scaled, and without a copy or a count.
ArenaStep widened(const ArenaStep& step) {
  const auto wide = [](const Tensor& tensor) { return cast(tensor, Dtype::f64).clone(); };
  ArenaStep result{wide(step.gradient), wide(step.learning_rate), {}, {}, {}, wide(step.weight), {}};
  const double scale = step.gradient_scale.defined() ? step.gradient_scale.item() : 1;
  for (int64_t i = 0; i < result.gradient.size(); ++i) result.gradient.data<double>()[i] *= scale;
  for (const Tensor& moment : step.moments) result.moments.push_back(wide(moment));
  return result;
}

void check_copy(const ArenaStep& found) {
  if (!found.copy.defined()) return;
  INFO("copy of the weights");
  CHECK(same_bits(found.copy, cast(found.weight.to(Device::cpu()), found.copy.dtype())));
}

bool same_bits(const ArenaStep& a, const ArenaStep& b) {
  bool same = test::same_bits(a.weight, b.weight) && test::same_bits(a.gradient, b.gradient);
  for (size_t i = 0; i < a.moments.size(); ++i) same = same && test::same_bits(a.moments[i], b.moments[i]);
  return same;
}

void check_on(Device device, const Variant& variant, int moments,
              const std::function<void(ArenaStep&)>& step) {
  INFO("on " << device);
  const ArenaStep start = draw(variant, moments, /*non_finite=*/0);
  ArenaStep wanted = widened(start);
  step(wanted);
  ArenaStep found = copied(start, variant.offset, device);
  step(found);
  const double allowed = tolerance(Dtype::f32, 16);
  check_near(found.weight, wanted.weight, allowed);
  for (size_t i = 0; i < wanted.moments.size(); ++i) {
    INFO("moment " << i);
    check_near(found.moments[i], wanted.moments[i], allowed);
  }
  CHECK(test::same_bits(found.gradient, start.gradient));
  check_copy(found);

  ArenaStep again = copied(start, variant.offset, device);
  step(again);
  CHECK(same_bits(again, found));

  INFO("skipped");
  const ArenaStep bad = draw(variant, moments, /*non_finite=*/3);
  ArenaStep skipped = copied(bad, variant.offset, device);
  step(skipped);
  CHECK(same_bits(skipped, bad));
  check_copy(skipped);
}

}  // namespace

void check_arena_step(int moments, const std::function<void(ArenaStep&)>& step) {
  const int64_t violations_before = AllocatorGuard::violations(), unread_before = AllocatorGuard::unread();
  {
    const AllocatorGuard guard;
    for (const Variant& variant : variants()) {
      INFO(variant.size << " weights from " << variant.offset << " on, gradient " << variant.gradient
                        << (variant.has_scale ? ", scaled" : "") << (variant.has_copy ? ", a copy of " : "")
                        << (variant.has_copy ? name_of(variant.copy) : ""));
      check_on(Device::cpu(), variant, moments, step);
      if (cuda_status().device_count > 0) check_on(Device::cuda(), variant, moments, step);
    }
  }
  CHECK(AllocatorGuard::violations() == violations_before);
  CHECK(AllocatorGuard::unread() == unread_before);
}

}  // namespace fovea::test
