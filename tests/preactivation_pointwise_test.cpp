#include "fovea/kernels/cuda/conv/fused_1x1.h"

#include <catch2/catch.hpp>

#include "fovea/core/device_dtype.h"
#include "fovea/core/random.h"
#include "has_device.h"
#include "op_test.h"

// The products of tensor cores by themselves: what the operation's own properties do not show, and without a
// library's kernels beside them, so that compute-sanitizer sees nothing else.
namespace fovea {
namespace {

using test::has_device;

struct Extents {
  int64_t rows, C, K;
};
// Tiles of 64 rows left over or just full, splits of rows, every width of a tile, channels beyond it.
constexpr Extents kExtents[] = {{257, 40, 72}, {64, 16, 64},   {128, 64, 16},  {300, 128, 32},
                                {1, 8, 8},     {65, 136, 104}, {1100, 40, 24}, {33, 72, 56},
                                {70, 24, 128}, {3300, 8, 16},  {40, 80, 136}};
// So many rows that a block has several tiles: products of one step, and of two.
constexpr Extents kSeveralTiles[] = {{17000, 8, 40}, {17000, 40, 8}};

/// Rows of a case, as its tensors have them on the CPU.
struct Numbers {
  Numbers(const Extents& extents, Dtype dtype) : rng(2), extents_(extents), dtype_(dtype) {}

  /// [rows, 1, 1, channels]
  Tensor image(int64_t channels, double mean = 0) {
    return test::cast(shifted({extents_.rows, 1, 1, channels}, mean), dtype_);
  }
  Tensor filters() { return test::cast(normal({extents_.K, 1, 1, extents_.C}, rng.next(), 0.2f), dtype_); }
  Tensor row(int64_t channels) { return normal({channels}, rng.next()); }
  /// Gates of which about half are closed.
  kernels::NormConstants norm(int64_t channels) {
    return {row(channels), Tensor::full({channels}, 1.5), row(channels), row(channels)};
  }

  Rng rng;

 private:
  Tensor shifted(const Shape& shape, double mean) {
    Tensor x = normal(shape, rng.next());
    for (int64_t i = 0; i < x.size(); ++i) x.data<float>()[i] += static_cast<float>(mean);
    return x;
  }

  Extents extents_;
  Dtype dtype_;
};

/// Those that the device has.
std::vector<Dtype> dtypes() {
  if (!has_bf16(Device::cuda())) return {Dtype::f16};
  return {Dtype::bf16, Dtype::f16};
}

/// Calls body(dtype, extents) for all of them in both dtypes, and for several tiles of a block in one.
template <class Body>
void for_each_case(Body body) {
  for (const Dtype dtype : dtypes()) {
    for (const Extents& extents : kExtents) body(dtype, extents);
  }
  for (const Extents& extents : kSeveralTiles) body(dtypes().front(), extents);
}

kernels::NormConstants on(Device device, const kernels::NormConstants& norm) {
  return {norm.mean.to(device),   norm.variance.to(device),
          norm.weight.to(device), norm.bias.to(device),
          norm.epsilon,           norm.of_batch};
}

TEST_CASE(
    "preactivation_pointwise: y is the composition's, and the moments are those of y as it was rounded") {
  if (!has_device()) return;
  const Device device = Device::cuda();
  for_each_case([&](Dtype dtype, const Extents& extents) {
    INFO(dtype << ", " << extents.rows << " x " << extents.C << " -> " << extents.K);
    Numbers numbers(extents, dtype);
    const Tensor x = numbers.image(extents.C), weight = numbers.filters();
    const Tensor residual = numbers.image(extents.K, /*mean=*/50);
    const kernels::NormConstants norm = numbers.norm(extents.C);
    Tensor wanted = Tensor::empty_like(residual), activated, none;
    kernels::composed_preactivation_conv_forward(x, {norm, weight, 1, 0}, residual, wanted, activated, none,
                                                 none);

    Tensor y = Tensor::empty_like(residual.to(device));
    Tensor mean = Tensor::empty({extents.K}, Dtype::f32, device), variance = Tensor::empty_like(mean);
    kernels::cuda::preactivation_pointwise_forward(x.to(device), {on(device, norm), weight.to(device), 1, 0},
                                                   residual.to(device), y, mean, variance);
    test::check_near(y, wanted, test::tolerance(dtype, extents.C, /*roundings=*/3));

    const Tensor exact = test::cast(y.to(Device::cpu()), Dtype::f64);
    Tensor exact_mean = Tensor::empty({extents.K}, Dtype::f64),
           exact_variance = Tensor::empty_like(exact_mean);
    kernels::batch_norm_statistics(exact, exact_mean, exact_variance);
    test::check_near(mean, exact_mean, 1e-6);
    test::check_near(variance, exact_variance, 1e-4);
  });
}

TEST_CASE("preactivation_pointwise: the gradients are the composition's, from dy and from behind a norm") {
  if (!has_device()) return;
  const Device device = Device::cuda();
  int tried = 0;
  for (const Dtype dtype : dtypes()) {
    for (const Extents& extents : kExtents) {
      for (const bool has_next : {false, true}) {
        INFO(dtype << ", " << extents.rows << " x " << extents.C << " -> " << extents.K
                   << ", next: " << has_next);
        Numbers numbers(extents, dtype);
        const Tensor x = numbers.image(extents.C), weight = numbers.filters(), dy = numbers.image(extents.K);
        const kernels::NormConstants norm = numbers.norm(extents.C);
        kernels::NextNorm next, next_there;
        if (has_next) {
          next = {numbers.image(extents.K), numbers.norm(extents.K), numbers.row(extents.K),
                  numbers.row(extents.K)};
          next_there = {next.y.to(device), on(device, next.norm), next.dweight.to(device),
                        next.dbias.to(device)};
        }
        const auto gradients = [&](Device place) {
          return std::array{
              Tensor::empty(x.shape(), dtype, place), Tensor::empty(weight.shape(), dtype, place),
              Tensor::empty({extents.C}, Dtype::f32, place), Tensor::empty({extents.C}, Dtype::f32, place)};
        };
        auto wanted = gradients(Device::cpu()), found = gradients(device);
        kernels::PreactivationGradients wanted_of_stage{wanted[1], wanted[2], wanted[3]},
            found_of_stage{found[1], found[2], found[3]};
        kernels::composed_preactivation_conv_backward(dy, next, {{norm, weight, 1, 0}, x, /*activated=*/{}},
                                                      wanted[0], wanted_of_stage);
        if (!kernels::cuda::has_preactivation_pointwise_backward(x.to(device), weight.to(device), next_there))
          continue;
        ++tried;
        Tensor kept = Tensor::empty_like(dy.to(device));
        kernels::cuda::preactivation_pointwise_backward(
            dy.to(device), next_there, {{on(device, norm), weight.to(device), 1, 0}, x.to(device), {}}, kept,
            found[0], found_of_stage);
        const int64_t terms = std::max({extents.rows, extents.K});
        for (size_t i = 0; i < found.size(); ++i) {
          INFO("gradient " << i);
          test::check_near(found[i], wanted[i], test::tolerance(dtype, terms, /*roundings=*/3));
        }
      }
    }
  }
  // Before compute capability 8.0 a block has no room for the tiles of most.
  CHECK(tried >= (has_bf16(device) ? 44 : 8));
}

TEST_CASE(
    "preactivation_pointwise: the gradient of x itself, with what is added to it, is the composition's") {
  if (!has_device()) return;
  const Device device = Device::cuda();
  for_each_case([&](Dtype dtype, const Extents& extents) {
    for (const int added : {0, 1, 2, 3}) {
      if (extents.rows > 10000 && added != 3) continue;
      INFO(dtype << ", " << extents.rows << " x " << extents.C << " -> " << extents.K
                 << ", added: " << added);
      Numbers numbers(extents, dtype);
      const Tensor x = numbers.image(extents.C), weight = numbers.filters(), dy = numbers.image(extents.K);
      const kernels::NormConstants norm = numbers.norm(extents.C);
      const kernels::NextNorm next{numbers.image(extents.K), numbers.norm(extents.K), numbers.row(extents.K),
                                   numbers.row(extents.K)};
      const Tensor other = added % 2 == 1 ? numbers.image(extents.C) : Tensor();
      const Tensor earlier = added / 2 == 1 ? numbers.image(extents.C) : Tensor();
      Tensor dx = Tensor::empty_like(x), dfilters = Tensor::empty_like(weight);
      Tensor dweight = Tensor::empty({extents.C}), dbias = Tensor::empty({extents.C});
      kernels::PreactivationGradients wanted{dfilters, dweight, dbias};
      kernels::composed_preactivation_conv_backward_input(
          dy, next, {{norm, weight, 1, 0}, x, /*activated=*/{}}, other, earlier, dx, wanted);
      const auto there = [&](const Tensor& tensor) {
        return tensor.defined() ? tensor.to(device) : Tensor();
      };
      Tensor found = Tensor::empty_like(there(x)), found_filters = Tensor::empty_like(there(weight));
      Tensor found_weight = Tensor::empty_like(there(dweight)), found_bias = Tensor::empty_like(found_weight);
      kernels::PreactivationGradients found_of_stage{found_filters, found_weight, found_bias};
      kernels::cuda::preactivation_conv_backward_input(
          there(dy), {there(next.y), on(device, next.norm), there(next.dweight), there(next.dbias)},
          {{on(device, norm), there(weight), 1, 0}, there(x), {}}, there(other), there(earlier), found,
          found_of_stage);
      test::check_near(found, dx, test::tolerance(dtype, std::max(extents.rows, extents.K), /*roundings=*/4));
      test::check_near(found_filters, dfilters, test::tolerance(dtype, extents.rows, /*roundings=*/3));
    }
  });
}

TEST_CASE("preactivation_pointwise: what it cannot do is left to others") {
  if (!has_device()) return;
  const Device device = Device::cuda();
  const Dtype half = dtypes().front();
  const auto image = [&](int64_t channels) { return Tensor::empty({2, 3, 3, channels}, half, device); };
  const auto filters = [&](int64_t C, int64_t K, int64_t R = 1) {
    return Tensor::empty({K, R, R, C}, half, device);
  };
  using kernels::cuda::has_preactivation_pointwise_backward, kernels::cuda::is_preactivation_pointwise;
  const kernels::NextNorm next{image(8), {}, {}, {}};
  CHECK(has_preactivation_pointwise_backward(image(8), filters(8, 512), {}) == has_bf16(device));
  CHECK_FALSE(has_preactivation_pointwise_backward(image(8), filters(8, 520), {}));
  CHECK(has_preactivation_pointwise_backward(image(8), filters(8, 256), next) == has_bf16(device));
  CHECK_FALSE(has_preactivation_pointwise_backward(image(8), filters(8, 264), next));
  CHECK_FALSE(is_preactivation_pointwise(image(2056), {{}, filters(2056, 8), 1, 0}, {}));
  CHECK(is_preactivation_pointwise(image(8), {{}, filters(8, 16), 1, 0}, {image(16), Tensor()}));
  CHECK_FALSE(is_preactivation_pointwise(image(8), {{}, filters(8, 16), 2, 0}, {}));
  CHECK_FALSE(is_preactivation_pointwise(image(8), {{}, filters(8, 16), 1, 1}, {}));
  CHECK_FALSE(is_preactivation_pointwise(image(8), {{}, filters(8, 16, 3), 1, 1}, {}));
  CHECK_FALSE(is_preactivation_pointwise(image(12), {{}, filters(12, 16), 1, 0}, {}));
  CHECK_FALSE(is_preactivation_pointwise(image(8), {{}, filters(8, 12), 1, 0}, {}));
  const Tensor wide = Tensor::empty({2, 3, 3, 8}, Dtype::f32, device),
               wide_filters = Tensor::empty({16, 1, 1, 8}, Dtype::f32, device);
  CHECK_FALSE(is_preactivation_pointwise(wide, {{}, wide_filters, 1, 0}, {}));
  CHECK_FALSE(
      is_preactivation_pointwise(Tensor::empty({0, 3, 3, 8}, half, device), {{}, filters(8, 16), 1, 0}, {}));
  CHECK_FALSE(
      is_preactivation_pointwise(image(8), {{}, filters(8, 16), 1, 0}, {image(24).slice(1, {2, 3, 3, 16})}));
}

}  // namespace
}  // namespace fovea
