#include "fovea/core/tensor.h"

#include <limits>
#include <utility>
#include <vector>

#include "fovea/core/allocator.h"
#include "op_test.h"

using namespace fovea;
using namespace fovea::test;

TEST_CASE("Shape: extents, sizes and axes from the end") {
  const Shape shape{2, 3, 5};
  CHECK(shape.rank() == 3);
  CHECK(shape.size() == 30);
  CHECK(shape[-1] == 5);
  CHECK(shape.size(1, 3) == 15);
  CHECK(shape.size(1, 1) == 1);
  CHECK(shape.with(-2, 7) == Shape{2, 7, 5});
  CHECK(shape.str() == "[2, 3, 5]");
  CHECK(Shape{}.size() == 1);
  CHECK(Shape{}.str() == "[]");
  CHECK(Shape{4, 0}.size() == 0);
  CHECK(Shape{2} != Shape{2, 0});
}

TEST_CASE("Shape: extents that make no sense are errors") {
  const int64_t huge = std::numeric_limits<int64_t>::max();
  check_error("Shape", [] { Shape{2, -1}; });
  check_error("Shape", [] { Shape{1, 1, 1, 1, 1, 1, 1}; });
  check_error("Shape", [&] { Shape{huge, 2}; });
  check_error("Shape", [] { Shape{2, 3}[2]; });
  check_error("Shape", [] { Shape{2, 3}[-3]; });
  check_error("Shape", [] { Shape{2}.with(0, -1); });
}

TEST_CASE("Tensor: what makes one") {
  check_near(Tensor::zeros({2, 2}), {0, 0, 0, 0}, 0);
  for (const Dtype dtype :
       {Dtype::f32, Dtype::f64, Dtype::bf16, Dtype::f16, Dtype::u8, Dtype::i32, Dtype::i64}) {
    const Tensor x = Tensor::full({3}, 5, dtype);
    CHECK(x.dtype() == dtype);
    CHECK(x.bytes() == 3 * size_of(dtype));
    check_near(x, {5, 5, 5}, 0);
  }
  const Tensor x = Tensor::from<int32_t>({1, -2, 3}, {3, 1});
  CHECK(x.str() == "i32[3, 1]");
  CHECK(x.span<int32_t>()[1] == -2);
  CHECK(Tensor::empty({0, 3}).size() == 0);
  CHECK(Tensor::full({}, 2.5).item() == 2.5);
  check_error("Tensor::from", [] { Tensor::from<float>({1, 2}, {3}); });
  check_error("item", [] { Tensor::zeros({2}).item(); });
}

TEST_CASE("Tensor: a form is kept from the second time on, until the numbers may have changed") {
  static constexpr char kDoubled = 0, kOther = 0;
  int made = 0;
  const auto doubled = [&](const Tensor& x, const void* kind) {
    return x.form(kind, [&] {
      ++made;
      const Tensor result = Tensor::empty(x.shape());
      for (int64_t i = 0; i < x.size(); ++i) Tensor(result).data<float>()[i] = 2 * x.data<float>()[i];
      return result;
    });
  };
  const auto made_in = [&](const Tensor& x, const std::vector<double>& wanted, const void* kind) {
    const int before = made;
    for (int i = 0; i < 5; ++i) check_near(doubled(x, kind), wanted, 0);
    return made - before;
  };
  Tensor all = Tensor::from<float>({1, 2, 3, 4}, {4});
  const Tensor part = all.slice(1, {2});
  CHECK(made_in(all, {2, 4, 6, 8}, &kDoubled) == 2);
  CHECK(made_in(all, {2, 4, 6, 8}, &kDoubled) == 0);
  CHECK(made_in(all, {2, 4, 6, 8}, &kOther) == 2);
  CHECK(made_in(part, {4, 6}, &kDoubled) == 2);
  CHECK(made_in(all.reshape({2, 2}), {2, 4, 6, 8}, &kDoubled) == 2);
  CHECK(made_in(std::as_const(all), {2, 4, 6, 8}, &kDoubled) == 0);

  // Whoever changes the storage, all forms of it are made anew.
  all.data<float>()[1] = 5;
  CHECK(made_in(part, {10, 6}, &kDoubled) == 2);
  CHECK(made_in(all, {2, 10, 6, 8}, &kDoubled) == 2);
  CHECK(made_in(all, {2, 10, 6, 8}, &kOther) == 2);
  float* const kept = all.data<float>();
  CHECK(made_in(all, {2, 10, 6, 8}, &kDoubled) == 2);
  kept[0] = 7;
  all.mark_changed();
  CHECK(made_in(all, {14, 10, 6, 8}, &kDoubled) == 2);
  Tensor(part).copy_from(Tensor::from<float>({0, 1}, {2}));
  CHECK(made_in(all, {14, 0, 2, 8}, &kDoubled) == 2);
  all.fill_with_zeros();
  CHECK(made_in(all, {0, 0, 0, 0}, &kDoubled) == 2);

  // In a loop that changes the numbers each time nothing is kept, and all that was kept is given back.
  made_in(part, {0, 0}, &kOther);
  const int64_t before = memory_stats().in_use;
  for (int i = 0; i < 3; ++i) {
    all.data<float>()[0] = static_cast<float>(i);
    doubled(all, &kDoubled);
  }
  CHECK(memory_stats().in_use < before);
  check_error("Tensor", [] { Tensor().form(&kDoubled, [] { return Tensor(); }); });
}

TEST_CASE("Tensor: an undefined one stands for none") {
  Tensor none;
  CHECK_FALSE(none.defined());
  CHECK(none.str() == "undefined");
  CHECK(none.use_count() == 0);
  check_error("Tensor", [&] { none.device(); });
  check_error("Tensor", [&] { none.raw(); });
  check_error("Tensor::data", [&] { none.data<float>(); });
  check_error("reshape", [&] { none.reshape({1}); });
  check_error("slice", [&] { none.slice(0, {0}); });
  check_error("copy_from", [&] { none.copy_from(Tensor::zeros({1})); });
}

TEST_CASE("Tensor: copies share the numbers, clones do not") {
  Tensor x = Tensor::zeros({2});
  const Tensor copy = x, clone = x.clone();
  CHECK(x.use_count() == 2);
  CHECK(clone.use_count() == 1);
  x.data<float>()[0] = 7;
  check_near(copy, {7, 0}, 0);
  check_near(clone, {0, 0}, 0);
}

TEST_CASE("Tensor: reshape and slice share the numbers") {
  Tensor x = Tensor::from<float>({1, 2, 3, 4, 5, 6}, {2, 3});
  Tensor part = x.reshape({6}).slice(1, {2, 2});
  CHECK(part.shape() == Shape{2, 2});
  CHECK(x.use_count() == 2);
  check_near(part, {2, 3, 4, 5}, 0);
  check_near(part.slice(2, {2}), {4, 5}, 0);  // offsets add up
  part.data<float>()[3] = 9;
  check_near(x, {1, 2, 3, 4, 9, 6}, 0);
  check_near(part.clone(), {2, 3, 4, 9}, 0);
  CHECK(x.slice(6, {0}).size() == 0);
  check_error("reshape", [&] { x.reshape({5}); });
  check_error("slice", [&] { x.slice(5, {2}); });
  check_error("slice", [&] { x.slice(-1, {2}); });
  check_error("slice", [&] { part.slice(1, {4}); });
}

TEST_CASE("Tensor: copy_from wants the same shape and dtype") {
  Tensor x = Tensor::zeros({2, 3});
  x.copy_from(Tensor::full({2, 3}, 4));
  check_near(x, std::vector<double>(6, 4), 0);
  check_error("copy_from", [&] { x.copy_from(Tensor::zeros({3, 2})); });
  check_error("copy_from", [&] { x.copy_from(Tensor::zeros({2, 3}, Dtype::f64)); });
}

TEST_CASE("Tensor: reading it as another type is an error that names both") {
  const Tensor x = Tensor::zeros({2, 3}, Dtype::i32);
  CHECK_THROWS_WITH(x.data<float>(), "Tensor::data: the tensor is i32[2, 3], read as f32");
}

TEST_CASE("dtype: names and sizes") {
  for (const Dtype dtype :
       {Dtype::f32, Dtype::f64, Dtype::bf16, Dtype::f16, Dtype::u8, Dtype::i32, Dtype::i64}) {
    CHECK(parse_enum<Dtype>(name_of(dtype)) == dtype);
  }
  CHECK(size_of(Dtype::bf16) == 2);
  CHECK(size_of(Dtype::u8) == 1);
  CHECK(size_of(Dtype::i64) == 8);
  CHECK(is_floating(Dtype::f16));
  CHECK_FALSE(is_floating(Dtype::i64));
  CHECK_THROWS_AS(parse_enum<Dtype>("float"), UsageError);
}

TEST_CASE("device: texts, and the reason why there is no CUDA") {
  CHECK(parse_device("cpu") == Device::cpu());
  CHECK(parse_device("auto").is_cpu() == (cuda_status().device_count == 0));
  CHECK_THROWS_AS(parse_device("gpu"), UsageError);
  CHECK_THROWS_AS(parse_device("cuda:x"), UsageError);
  CHECK_THROWS_AS(parse_device("cuda:"), UsageError);
  if (cuda_status().device_count == 0) {
    CHECK_THROWS_AS(parse_device("cuda"), DeviceError);
    CHECK_THROWS_WITH(parse_device("cuda:1"), Catch::Contains(cuda_status().reason));
    CHECK_THROWS_AS(Tensor::empty({1}, Dtype::f32, Device::cuda()), DeviceError);
  }
}
