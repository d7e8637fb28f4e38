// Memory of a CUDA device, where the emulator can show what a device would do: several devices, memory that
// goes back to the system, devices that fail.
#include <catch2/catch.hpp>
#include <optional>

#include "fovea/core/allocator.h"
#include "fovea/core/captured_graph.h"
#include "fovea/core/check.h"
#include "fovea/core/cuda/runtime.h"
#include "fovea/core/cuda_backend.h"
#include "fovea/core/tensor.h"
#include "fovea/cuda_emulator/emulator.h"

namespace fovea {
namespace {

// Before the backend asks how many there are.
[[maybe_unused]] const bool kHasTwoDevices = (emulator::set_device_count(2), true);

size_t bytes_free() {
  size_t free = 0, total = 0;
  cudaMemGetInfo(&free, &total);
  return free;
}

TEST_CASE("device memory: a request leaves this thread on its device") {
  REQUIRE(cuda_status().device_count == 2);
  cuda::use_device(0);
  {
    const Tensor there = Tensor::empty({1000}, Dtype::u8, Device::cuda(1));
    CHECK(cuda::current_device() == 0);
    const AllocatorGuard guard;
    const Tensor guarded = Tensor::empty({1000}, Dtype::u8, Device::cuda(1));
    CHECK(cuda::current_device() == 0);
  }
  CHECK(cuda::current_device() == 0);
  CHECK_THROWS_AS(Tensor::empty({int64_t{1} << 50}, Dtype::u8, Device::cuda(1)), OutOfMemory);
  CHECK(cuda::current_device() == 0);
  release_cached_memory(Device::cuda(1));
  CHECK(cuda::current_device() == 0);
}

TEST_CASE("device memory: guarded or not, a block lies as well as what CUDA gives") {
  const auto is_aligned = [](const Tensor& tensor) {
    return reinterpret_cast<uintptr_t>(tensor.raw()) % 256 == 0;  // "CUDA C++ Programming Guide", 5.3.2
  };
  for (const int64_t bytes : {1, 80, 1000, 1 << 20}) {
    CHECK(is_aligned(Tensor::empty({bytes}, Dtype::u8, Device::cuda(0))));
    const AllocatorGuard guard;
    CHECK(is_aligned(Tensor::empty({bytes}, Dtype::u8, Device::cuda(0))));
  }
}

TEST_CASE("device memory: a guarded block of another device may be freed while a graph is recorded") {
  const Device here = Device::cuda(0), there = Device::cuda(1);
  const Tensor sevens = Tensor::full({2}, 7, Dtype::f32, here);
  Tensor x = Tensor::zeros({2}, Dtype::f32, here);
  const int64_t before = AllocatorGuard::violations();
  {
    const AllocatorGuard guard;
    Tensor guarded = Tensor::zeros({2}, Dtype::f32, there);
    // What reads its guard on the stream that is recorded would end the recording.
    const CapturedGraph graph(here, [&] {
      cuda::use_device(0);
      x.copy_from(sevens);
      guarded = Tensor();
    });
    graph.replay();
  }
  CHECK(x.to_doubles() == std::vector<double>{7, 7});
  CHECK(AllocatorGuard::violations() == before);
}

/// While one lives, the device has failed for good.
struct FailedDevice {
  FailedDevice() { emulator::fail_device(cudaErrorIllegalAddress); }
  ~FailedDevice() { emulator::fail_device(cudaSuccess); }
  FailedDevice(const FailedDevice&) = delete;
  FailedDevice& operator=(const FailedDevice&) = delete;
};

TEST_CASE("device memory: a guard that cannot be read is neither intact nor overwritten") {
  const int64_t violations = AllocatorGuard::violations(), unread = AllocatorGuard::unread();
  const AllocatorGuard guard;
  Tensor x = Tensor::zeros({7}, Dtype::f32, Device::cuda(0));
  {
    const FailedDevice failed;
    x = Tensor();
  }
  CHECK(AllocatorGuard::unread() == unread + 1);
  CHECK(AllocatorGuard::violations() == violations);
  x = Tensor::zeros({7}, Dtype::f32, Device::cuda(0));
  x = Tensor();
  CHECK(AllocatorGuard::unread() == unread + 1);
}

TEST_CASE("device memory: a device that has failed is not out of memory") {
  for (const bool is_guarded : {false, true}) {
    std::optional<AllocatorGuard> guard;
    if (is_guarded) guard.emplace();
    const auto take = [] { Tensor::empty({12345}, Dtype::u8, Device::cuda(1)); };
    release_cached_memory(Device::cuda(1));
    const FailedDevice failed;
    CHECK_THROWS_AS(take(), DeviceLost);
    CHECK_THROWS_WITH(take(), Catch::Contains("cudaErrorIllegalAddress") && Catch::Contains("cuda:1") &&
                                  Catch::Contains("start a new one"));
  }
}

// With FOVEA_KEEP_MEMORY=0: see CMakeLists.txt.
TEST_CASE("device memory: what is freed while a graph is recorded goes back when it is recorded",
          "[.not-kept]") {
  const Device device = Device::cuda(0);
  const int64_t count = 1 << 20;
  const Tensor source = Tensor::full({count}, 7, Dtype::u8, device);
  Tensor x = Tensor::zeros({count}, Dtype::u8, device);
  Tensor older = Tensor::zeros({count}, Dtype::u8, device);
  size_t free_before = 0, free_after = 0;
  {
    const CapturedGraph graph(device, [&] {
      free_before = bytes_free();
      older = Tensor();
      x.copy_from(source);
      release_cached_memory(device);
      free_after = bytes_free();
    });
    CHECK(free_after == free_before);
    CHECK(bytes_free() >= free_before + count);
    CHECK(memory_stats(device).cached == 0);
    graph.replay();
    CHECK(x.to_doubles() == source.to_doubles());
  }
}

}  // namespace
}  // namespace fovea
