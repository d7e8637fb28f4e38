// What a CUDA device can do depends on its compute capability. Run by CTest on an emulated device of 9.0, and
// on one of 7.5 (Turing: a Tesla T4), which has neither bf16 nor TF32 and less shared memory.
#include <catch2/catch.hpp>

#include "fovea/core/device_dtype.h"
#include "fovea/kernels/cast.h"
#include "fovea/kernels/cuda/conv/choice.h"
#include "fovea/kernels/cuda/conv/fused_1x1.h"
#include "has_device.h"
#include "op_test.h"
#include "tiny_classifier.h"

namespace fovea {
namespace {

using test::has_device;

using Catch::Contains;

Device device() {
  return Device::cuda();
}
bool is_turing() {
  return describe(device()).find("compute capability 7.5") != std::string::npos;
}

/// The message of the DeviceError that a body throws; "" if it throws none.
template <class Body>
std::string device_error_of(Body body) {
  try {
    body();
  } catch (const DeviceError& error) {
    return error.what();
  }
  return "";
}

TEST_CASE("compute capability: whether a device has bf16") {
  if (!has_device()) return;
  CHECK(has_bf16(Device::cpu()));
  CHECK(has_bf16(device()) != is_turing());
  CHECK_THROWS_AS(has_bf16(Device::cuda(1000)), DeviceError);
}

TEST_CASE(
    "compute capability: no tensor of bf16 comes to be where there is none, and the error says what to do") {
  if (!has_device()) return;
  const Tensor on_cpu = Tensor::full({4}, 1.5, Dtype::bf16);
  const std::string errors[] = {
      device_error_of([] { Tensor::empty({4}, Dtype::bf16, device()); }),
      device_error_of([] { Tensor::zeros({4}, Dtype::bf16, device()); }),
      device_error_of([&] { on_cpu.to(device()); }),
  };
  for (const std::string& error : errors) {
    if (!is_turing()) {
      CHECK(error.empty());
      continue;
    }
    CHECK_THAT(error, Contains("Tensor: a tensor of bf16 on cuda:0, which is ") &&
                          Contains("compute capability 7.5") && Contains("wanted f16 or f32"));
  }
}

TEST_CASE("compute capability: a network trains in f32 and f16, and in bf16 where there is any") {
  if (!has_device()) return;
  const ImageSet images = test::tiny_images(16, 1);
  const auto train = [&](Precision precision) {
    Classifier classifier = test::tiny_classifier(1);
    move_to(classifier.model(), device());
    TrainingSettings settings = test::tiny_settings();
    settings.precision = precision;
    return classifier.train(images, settings).steps;
  };
  for (const Precision precision : {Precision::f32, Precision::tf32, Precision::f16}) {
    CHECK(train(precision) > 0);
  }
  const std::string error = device_error_of([&] { train(Precision::bf16); });
  CHECK(error.empty() != is_turing());
}

/// Of a convolution [64, 1, 1, C] -> [64, 1, 1, K] in f16.
struct Pointwise {
  Pointwise(int64_t C, int64_t K)
      : x(random({64, 1, 1, C})),
        weight(random({K, 1, 1, C})),
        residual(random({64, 1, 1, K})),
        norm{row(C), Tensor::full({C}, 1.5), row(C), row(C)} {}
  static Tensor random(const Shape& shape) {
    return test::cast(normal(shape, Rng(1).next(), 0.3f), Dtype::f16);
  }
  static Tensor row(int64_t count) { return normal({count}, Rng(2).next()); }
  kernels::PreactivationStage stage(Device place) const {
    return {{norm.mean.to(place), norm.variance.to(place), norm.weight.to(place), norm.bias.to(place)},
            weight.to(place),
            1,
            0};
  }

  Tensor x, weight, residual;
  kernels::NormConstants norm;
};

TEST_CASE(
    "compute capability: fused products are taken where a block has room for them, with the same numbers") {
  if (!has_device()) return;
  struct {
    int64_t C, K;
    bool fits_turing, fits_turing_backward;
  } const cases[] = {{64, 64, true, true}, {128, 128, true, false}, {2048, 128, false, false}};
  for (const auto& one : cases) {
    INFO(one.C << " -> " << one.K);
    const Pointwise conv(one.C, one.K);
    const Tensor x = conv.x.to(device()), residual = conv.residual.to(device());
    const kernels::PreactivationStage stage = conv.stage(device());
    Tensor y = Tensor::empty_like(residual), none;
    CHECK(kernels::cuda::is_fused_forward(x, stage, residual, y) == (!is_turing() || one.fits_turing));
    CHECK(kernels::cuda::is_fused_backward({stage, x, {}}, {}, {y}) ==
          (!is_turing() || one.fits_turing_backward));
    Tensor activated = Tensor::empty_like(x);
    kernels::preactivation_conv_forward(x, stage, residual, y, activated, none, none);
    Tensor wanted = Tensor::empty_like(conv.residual), wanted_activated = Tensor::empty_like(conv.x);
    kernels::preactivation_conv_forward(conv.x, conv.stage(Device::cpu()), conv.residual, wanted,
                                        wanted_activated, none, none);
    test::check_near(y, wanted, test::tolerance(Dtype::f16, one.C, /*roundings=*/3));
  }
}

}  // namespace
}  // namespace fovea
