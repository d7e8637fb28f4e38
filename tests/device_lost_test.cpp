// A device that has failed for good: the emulator answers every call with an error, as CUDA does then.
#include <catch2/catch.hpp>

#include "fovea/core/captured_graph.h"
#include "fovea/core/check.h"
#include "fovea/cuda_emulator/emulator.h"
#include "fovea/kernels/cuda/conv/trial.h"
#include "fovea/kernels/kernel.h"
#include "fovea/kernels/relu.h"
#include "tiny_classifier.h"

namespace fovea {
namespace {

const Device kDevice = Device::cuda();

/// Ends, with the test, what fail_device began.
struct DeviceRecovers {
  DeviceRecovers() = default;
  ~DeviceRecovers() { emulator::fail_device(cudaSuccess); }
  DeviceRecovers(const DeviceRecovers&) = delete;
  DeviceRecovers& operator=(const DeviceRecovers&) = delete;
};

void fail_device() {
  emulator::fail_device(cudaErrorIllegalAddress);
}

TEST_CASE("device lost: after every error that ends a device, and after no other") {
  const DeviceRecovers recovers;
  const auto wait = [] { synchronize(kDevice); };
  for (const cudaError_t error :
       {cudaErrorECCUncorrectable, cudaErrorNvlinkUncorrectable, cudaErrorContained, cudaErrorIllegalAddress,
        cudaErrorLaunchTimeout, cudaErrorAssert, cudaErrorHardwareStackError, cudaErrorIllegalInstruction,
        cudaErrorMisalignedAddress, cudaErrorInvalidAddressSpace, cudaErrorInvalidPc, cudaErrorLaunchFailure,
        cudaErrorTensorMemoryLeak, cudaErrorMpsClientTerminated, cudaErrorExternalDevice}) {
    INFO(error);
    emulator::fail_device(error);
    CHECK_THROWS_AS(wait(), DeviceLost);
    CHECK(cuda::is_lost(0));
    emulator::fail_device(cudaSuccess);
    CHECK_FALSE(cuda::is_lost(0));
    CHECK_NOTHROW(wait());
  }
  for (const cudaError_t error : {cudaErrorInvalidValue, cudaErrorInvalidConfiguration}) {
    emulator::fail_device(error);
    CHECK_FALSE(cuda::is_lost(0));
    try {
      wait();
      FAIL("no error");
    } catch (const DeviceLost&) {
      FAIL("the device is not lost");
    } catch (const DeviceError& found) {
      CHECK(found.exit_code() == 4);
    }
  }
}

TEST_CASE("device lost: the error says what happened and what is next, and ends a tool with 4") {
  const DeviceRecovers recovers;
  const Tensor x = Tensor::zeros({2}, Dtype::f32, kDevice);
  Tensor y = Tensor::empty_like(x);
  fail_device();
  try {
    kernels::relu_forward(x, y);
    FAIL("no error");
  } catch (const DeviceLost& error) {
    const std::string text = error.what();
    CHECK(error.exit_code() == 4);
    CHECK(text.starts_with("relu: "));
    CHECK(text.find("an illegal memory access was encountered") != std::string::npos);
    CHECK(text.find("start a new one") != std::string::npos);
    CHECK(text.find("; with f32[2]") != std::string::npos);
  }
}

/// What cuDNN says of it is what it says of an engine that cannot run.
void pretended_library(const Tensor&) {
  fail_device();
  throw DeviceError("cudnn: execute a plan: CUDNN_STATUS_EXECUTION_FAILED");
}
void pretended_library_with_shapes(const Tensor& x) {
  try {
    pretended_library(x);
  } catch (const DeviceError& error) {
    emulator::fail_device(cudaSuccess);  // found out later
    try {
      kernels::rethrow_with(error, 0, "a shape", "conv_forward");
    } catch (const DeviceError&) {
      fail_device();
      throw;
    }
  }
}

TEST_CASE("device: a build without code for it is told what to build") {
  const DeviceRecovers recovers;
  emulator::fail_device(cudaErrorNoKernelImageForDevice);
  try {
    synchronize(kDevice);
    FAIL("no error");
  } catch (const DeviceError& error) {
    CHECK_THAT(error.what(), Catch::Contains("no kernel image is available") &&
                                 Catch::Contains("build with it in CMAKE_CUDA_ARCHITECTURES"));
  }
}

TEST_CASE("device lost: an error of a library is that of the device if the device has failed") {
  const Tensor x = Tensor::zeros({2}, Dtype::f32, kDevice);
  for (const auto run : {pretended_library, pretended_library_with_shapes}) {
    const DeviceRecovers recovers;
    const kernels::Kernel<void(const Tensor&)> kernel("pretended", nullptr, run);
    CHECK_THROWS_AS(kernel(x), DeviceLost);
    CHECK_THROWS_WITH(kernel(x), Catch::Contains("CUDNN_STATUS_EXECUTION_FAILED") &&
                                     Catch::Contains("start a new one") && Catch::Contains("; with "));
  }
}

TEST_CASE("device: an error has the shapes of its tensors once, whatever its text") {
  const Tensor x = Tensor::zeros({2}, Dtype::f32, kDevice);
  const auto text_of = [&](void (*run)(const Tensor&)) -> std::string {
    try {
      kernels::Kernel<void(const Tensor&)>("outer", nullptr, run)(x);
    } catch (const DeviceError& error) {
      return error.what();
    }
    return "";
  };
  CHECK(text_of([](const Tensor&) { throw DeviceError("a library; with its own words"); }) ==
        "a library; with its own words; with f32[2]");
  CHECK(text_of([](const Tensor& tensor) {
          kernels::Kernel<void(const Tensor&)>("inner", nullptr,
                                               [](const Tensor&) { throw OutOfMemory("no memory"); })(tensor);
        }) == "no memory; with f32[2]");
}

TEST_CASE("device lost: a trial of engines does not pass over it") {
  using kernels::cuda::ConvTensors;
  const kernels::cuda::ConvKey problem{
      {2, 5, 5, 3, 4, 3, 3, 1, 1}, kernels::ConvPass::forward, Dtype::f32, false};
  const DeviceRecovers recovers;
  bool was_tried = false;
  const auto deadly = [](ConvTensors&) {
    fail_device();
    throw DeviceError("cudnn: execute a plan: CUDNN_STATUS_EXECUTION_FAILED");
  };
  const auto next = [&](ConvTensors&) { was_tried = true; };
  CHECK_THROWS_AS(fastest_candidate(problem, kDevice, {{"deadly", deadly}, {"next", next}}, 16,
                                    [](const auto&) { return 1.0; }),
                  DeviceLost);
  CHECK_FALSE(was_tried);
}

TEST_CASE("device lost: a recording passes it on") {
  const DeviceRecovers recovers;
  Tensor x = Tensor::zeros({2}, Dtype::f32, kDevice);
  const auto deadly = [&] {
    fail_device();
    x.fill_with_zeros();
  };
  CHECK_THROWS_AS(CapturedGraph(kDevice, deadly), DeviceLost);
  emulator::fail_device(cudaSuccess);
  const CapturedGraph graph(kDevice, [&] { x.fill_with_zeros(); });
  fail_device();
  CHECK_THROWS_AS(graph.replay(), DeviceLost);
}

TEST_CASE("device lost: training and evaluation end with it, wherever it happens") {
  const ImageSet train = test::tiny_images(35, 1), evaluation_set = test::tiny_images(13, 2);
  for (const bool capture : {false, true}) {
    for (const Precision precision : {Precision::f32, Precision::bf16}) {
      for (int place = 0; place < 3; ++place) {
        INFO("captured " << capture << ", " << name_of(precision) << ", place " << place);
        const DeviceRecovers recovers;
        TrainingSettings settings = test::tiny_settings();
        settings.capture = capture;
        settings.precision = precision;
        settings.ema_decay = precision == Precision::bf16 ? 0.9 : 0;
        settings.evaluation_batch_size = 5;
        settings.hooks.on_step = [&](const StepReport& report) {
          if ((place == 0 && report.step == 1) || (place == 1 && report.step == 6)) fail_device();
        };
        settings.hooks.on_evaluation = [&](int64_t, int64_t) {
          if (place == 2) fail_device();
        };
        Classifier classifier = test::tiny_classifier(1);
        move_to(classifier.model(), kDevice);
        CHECK_THROWS_AS(classifier.train(train, settings, &evaluation_set), DeviceLost);
      }
    }
  }
}

}  // namespace
}  // namespace fovea
