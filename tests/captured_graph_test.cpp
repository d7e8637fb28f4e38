#include "fovea/core/captured_graph.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <optional>
#include <thread>

#include "fovea/core/allocator.h"
#include "fovea/core/profile.h"
#include "fovea/core/tensor.h"
#include "fovea/kernels/relu.h"
#include "op_test.h"

namespace fovea {
namespace {

TEST_CASE("stream: seconds_on counts the body, and nothing that was launched before") {
  for (const Device device : test::devices()) {
    INFO(device);
    Tensor x = Tensor::zeros({1 << 20}, Dtype::f32, device);
    bool has_run = false;
    // A device may note the begin late where it is busy: then the body seems shorter than it was, but not
    // always.
    double most = 0;
    for (int i = 0; i < 20 && most < 0.0299; ++i) {  // a device's clock is not the one that was slept by
      most = std::max(most, seconds_on(device, [&] {
                        std::this_thread::sleep_for(std::chrono::milliseconds(30));
                        x.fill_with_zeros();
                        has_run = true;
                      }));
    }
    CHECK(has_run);
    CHECK(most >= 0.0299);
    CHECK(most < 30);

    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    double least = 1;
    for (int i = 0; i < 5; ++i) least = std::min(least, seconds_on(device, [] {}));
    CHECK(least >= 0);
    CHECK(least < 0.0299);
  }
}

TEST_CASE("stream: an error inside seconds_on is passed on, and the next call works") {
  for (const Device device : test::devices()) {
    CHECK_THROWS_AS(seconds_on(device, [] { throw Error("stop"); }), Error);
    CHECK(seconds_on(device, [] {}) >= 0);
  }
}

TEST_CASE("stream: a device that is not there is an error") {
  const Device absent = Device::cuda(63);
  CHECK_THROWS_AS(seconds_on(absent, [] {}), DeviceError);
  CHECK_THROWS_AS(cache_bytes(absent), DeviceError);
  CHECK_THROWS_AS(cache_bytes(Device::cpu()), DeviceError);
  CHECK_THROWS_AS(CapturedGraph(absent, [] {}), DeviceError);
}

TEST_CASE("stream: a graph inside a graph is an error, from which the outer and later ones do not suffer") {
  if (cuda_status().device_count == 0) return;
  const Device device = Device::cuda();
  const Shape shape{1, 54321};
  const Tensor ones = Tensor::full(shape, 1, Dtype::f32, device);
  Tensor y = Tensor::zeros(shape, Dtype::f32, device);
  const void* const freed = Tensor::empty(shape, Dtype::f32, device).raw();
  const auto record_another = [&] { CapturedGraph(device, [&] { y.fill_with_zeros(); }); };
  const CapturedGraph outer(device, [&] {
    CHECK_THROWS_MATCHES(record_another(), DeviceError,
                         Catch::Message("CapturedGraph: another graph is being recorded on cuda:0"));
    y.copy_from(ones);
  });
  CHECK(outer.nodes() == 1);
  outer.replay();
  CHECK(y.to_doubles() == std::vector<double>(54321, 1.0));
  CHECK(Tensor::empty(shape, Dtype::f32, device).raw() == freed);  // what was free before still is

  CHECK_THROWS_AS(CapturedGraph(device, record_another), DeviceError);
  const CapturedGraph later(device, [&] { y.fill_with_zeros(); });
  later.replay();
  CHECK(y.to_doubles() == std::vector<double>(54321, 0.0));
}

TEST_CASE("stream: a graph may go while another is recorded") {
  if (cuda_status().device_count == 0) return;
  const Device device = Device::cuda();
  const Tensor ones = Tensor::full({1000}, 1, Dtype::f32, device);
  Tensor x = Tensor::zeros({1000}, Dtype::f32, device), y = Tensor::zeros({1000}, Dtype::f32, device);
  std::optional<CapturedGraph> first(std::in_place, device, [&] {
    Tensor scratch = Tensor::empty_like(x);
    scratch.copy_from(ones);
    x.copy_from(scratch);
  });
  first->replay();
  const CapturedGraph second(device, [&] {
    first.reset();
    y.copy_from(x);
  });
  second.replay();
  CHECK(y.to_doubles() == std::vector<double>(1000, 1.0));
}

// With FOVEA_SYNC=1, too: see CMakeLists.txt.
TEST_CASE("stream: kernels are not waited for while they are recorded, though profiling waits for each") {
  if (cuda_status().device_count == 0) return;
  const Device device = Device::cuda();
  const Tensor x = Tensor::from<float>({-1, 2}, {2}).to(device);
  Tensor y = Tensor::empty_like(x);
  for (const bool is_profiling : {false, true}) {
    INFO("profiling: " << is_profiling);
    set_profiling(is_profiling);
    kernels::relu_forward(x, y);
    y.fill_with_zeros();
    const CapturedGraph graph(device, [&] { kernels::relu_forward(x, y); });
    set_profiling(false);
    CHECK(graph.nodes() == 1);
    CHECK(y.to_doubles() == std::vector<double>{0, 0});
    graph.replay();
    CHECK(y.to_doubles() == std::vector<double>{0, 2});
  }
}

TEST_CASE("stream: an error that was reported is not reported again by the next kernel") {
  if (cuda_status().device_count == 0) return;
  const Device device = Device::cuda();
  const Tensor x = Tensor::from<float>({-1, 2}, {2}).to(device);
  Tensor y = Tensor::empty_like(x);
  const auto wait = [&] { CHECK_THROWS_AS(synchronize(device), DeviceError); };
  CHECK_THROWS_AS(CapturedGraph(device, wait), DeviceError);
  kernels::relu_forward(x, y);
  CHECK(y.to_doubles() == std::vector<double>{0, 2});
}

TEST_CASE("stream: data of the CPU may be changed as soon as it was copied to a device") {
  for (const Device device : test::devices()) {
    for (const int64_t size : {1, 1 << 20, (9 << 20) + 5}) {  // more than the copy has room for at once
      Tensor x = Tensor::empty({size}, Dtype::u8);
      auto* bytes = x.data<uint8_t>();
      for (int64_t i = 0; i < size; ++i) bytes[i] = static_cast<uint8_t>(i % 251);
      const Tensor wanted = x.clone();
      const Tensor there = x.to(device);
      if (device.is_cuda()) x.fill_with_zeros();
      const Tensor back = there.to(Device::cpu());
      CHECK(std::equal(back.data<uint8_t>(), back.data<uint8_t>() + size, wanted.data<uint8_t>()));
    }
  }
}

TEST_CASE("stream: a copy from the CPU has no place in a graph, and says so") {
  if (cuda_status().device_count == 0) return;
  const Device device = Device::cuda();
  Tensor x = Tensor::zeros({2}, Dtype::f32, device);
  const Tensor host = Tensor::zeros({2});
  CHECK_THROWS_WITH(CapturedGraph(device, [&] { x.copy_from(host); }),
                    Catch::Contains("8 bytes from cpu to cuda:0 while a graph is recorded"));
  x.copy_from(Tensor::from<float>({3, 4}, {2}));
  CHECK(x.to_doubles() == std::vector<double>{3, 4});
}

TEST_CASE("stream: guarded blocks may be freed while a graph is recorded") {
  if (cuda_status().device_count == 0) return;
  const Device device = Device::cuda();
  const int64_t before = AllocatorGuard::violations();
  Tensor x = Tensor::zeros({2}, Dtype::f32, device), y = Tensor::full({2}, 7, Dtype::f32, device);
  {
    const AllocatorGuard guard;
    Tensor guarded = Tensor::zeros({2}, Dtype::f32, device);
    const CapturedGraph graph(device, [&] {
      guarded = Tensor();
      x.copy_from(y);
    });
    graph.replay();
  }
  CHECK(x.to_doubles() == std::vector<double>{7, 7});
  CHECK(AllocatorGuard::violations() == before);
}

TEST_CASE("stream: no memory on a device is an error that says how much there is, inside a graph as well") {
  if (cuda_status().device_count == 0) return;
  const Device device = Device::cuda();
  const auto take = [&] { Tensor::empty({int64_t{1} << 50}, Dtype::u8, device); };
  CHECK_THROWS_AS(take(), OutOfMemory);
  CHECK_THROWS_WITH(take(), Catch::StartsWith("allocate: no memory for 1125899906842624 bytes on cuda:0 (") &&
                                Catch::Contains(" bytes are free): ") &&
                                Catch::Contains(" bytes are in use and ") && Catch::EndsWith("batch size"));
  CHECK_THROWS_AS(CapturedGraph(device, take), OutOfMemory);
  Tensor x = Tensor::full({2}, 7, Dtype::f32, device);
  const CapturedGraph graph(device, [&] { x.fill_with_zeros(); });
  graph.replay();
  CHECK(x.to_doubles() == std::vector<double>{0, 0});
}

TEST_CASE("stream: a device has a cache") {
  for (const Device device : test::devices()) {
    if (device.is_cuda()) CHECK(cache_bytes(device) >= 1 << 20);
  }
}

}  // namespace
}  // namespace fovea
