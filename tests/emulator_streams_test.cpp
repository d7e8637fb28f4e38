// Programs with planted bugs in what they ask of streams, events, graphs and memory: what the emulator must
// find when work runs late, and what it must refuse while a stream is captured, as CUDA does.
#include <cuda_runtime.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>
#include <functional>
#include <vector>

#include "fovea/core/check.h"
#include "fovea/cuda_emulator/emulator.h"

using namespace fovea;
using emulator::StreamOrder;

namespace {

constexpr int kCount = 64;
constexpr size_t kBytes = kCount * sizeof(int);
constexpr auto kKind = cudaMemcpyDefault;

__global__ void fill_kernel(int* y, int value) {
  y[threadIdx.x] = value;
}
/// Launched by one test alone, where nothing is loaded yet.
__global__ void first_kernel(int* y) {
  y[threadIdx.x] = 1;
}

class Deferred {
 public:
  Deferred() { emulator::set_stream_order(StreamOrder::deferred); }
  ~Deferred() {
    cudaGetLastError();
    emulator::set_stream_order(StreamOrder::at_once);
  }
};

struct Stream {
  Stream() { cudaStreamCreateWithFlags(&handle, cudaStreamNonBlocking); }
  ~Stream() { cudaStreamDestroy(handle); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  cudaStream_t handle = nullptr;
};

struct Event {
  Event() { cudaEventCreate(&handle); }
  ~Event() { cudaEventDestroy(handle); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  cudaEvent_t handle = nullptr;
};

/// Memory of the device or, pinned, of the CPU.
struct Block {
  explicit Block(bool is_pinned = false) : pinned(is_pinned) {
    void* block = nullptr;
    REQUIRE((pinned ? cudaMallocHost(&block, kBytes) : cudaMalloc(&block, kBytes)) == cudaSuccess);
    data = static_cast<int*>(block);
    if (pinned) std::memset(data, 0, kBytes);
  }
  ~Block() { pinned ? cudaFreeHost(data) : cudaFree(data); }
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;
  int* data = nullptr;
  bool pinned;
};

bool all_are(const int* numbers, int value) {
  return std::all_of(numbers, numbers + kCount, [=](int number) { return number == value; });
}

void fill(cudaStream_t stream, int* y, int value) {
  emulator::launch("fill", {reinterpret_cast<const void*>(fill_kernel), 1, kCount, ""}, stream,
                   [=] { fill_kernel(y, value); });
}

/// How many of 20 schedules give what `body` wants.
int right_of_20(const std::function<bool()>& body) {
  int right = 0;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    emulator::set_schedule(seed);
    if (body()) ++right;
  }
  return right;
}

/// A graph, or what CUDA says instead.
struct Captured {
  explicit Captured(cudaStream_t stream, const std::function<void()>& body) {
    REQUIRE(cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed) == cudaSuccess);
    body();
    cudaGetLastError();
    status = cudaStreamEndCapture(stream, &graph);
    if (graph != nullptr) cudaGraphGetNodes(graph, nullptr, &nodes);
  }
  ~Captured() {
    if (graph != nullptr) cudaGraphDestroy(graph);
  }
  Captured(const Captured&) = delete;
  Captured& operator=(const Captured&) = delete;
  void replay(cudaStream_t stream) const {
    cudaGraphExec_t executable = nullptr;
    REQUIRE(cudaGraphInstantiate(&executable, graph, 0) == cudaSuccess);
    cudaGraphLaunch(executable, stream);
    cudaGraphExecDestroy(executable);
  }
  cudaError_t status = cudaSuccess;
  cudaGraph_t graph = nullptr;
  size_t nodes = 0;
};

}  // namespace

TEST_CASE("emulated streams: a result that is not waited for is not there") {
  const Deferred deferred;
  const Stream stream;
  const Block device, host(/*is_pinned=*/true);
  fill(stream.handle, device.data, 7);
  cudaMemcpyAsync(host.data, device.data, kBytes, kKind, stream.handle);
  CHECK(all_are(host.data, 0));
  cudaStreamSynchronize(stream.handle);
  CHECK(all_are(host.data, 7));
}

TEST_CASE("emulated streams: an event that is not waited for shows in some schedules") {
  const Deferred deferred;
  const Stream first, second;
  const Event filled;
  const Block device, host(/*is_pinned=*/true);
  const auto copied = [&](bool waits) {
    std::memset(host.data, 0, kBytes);
    fill(first.handle, device.data, 1);
    fill(first.handle, device.data, 7);
    cudaEventRecord(filled.handle, first.handle);
    if (waits) cudaStreamWaitEvent(second.handle, filled.handle, 0);
    cudaMemcpyAsync(host.data, device.data, kBytes, kKind, second.handle);
    cudaStreamSynchronize(second.handle);
    const bool is_right = all_are(host.data, 7);
    cudaStreamSynchronize(first.handle);
    return is_right;
  };
  CHECK(right_of_20([&] { return copied(true); }) == 20);
  const int right = right_of_20([&] { return copied(false); });
  CHECK(right > 0);  // the order between the streams is drawn
  CHECK(right < 20);
}

TEST_CASE("emulated streams: a staging slot that is used again too early gives what it has then") {
  const Deferred deferred;
  const Stream stream;
  const Event is_read;
  const Block slot(/*is_pinned=*/true), first, second, host(/*is_pinned=*/true);
  const auto copied = [&](bool waits) {
    std::fill(slot.data, slot.data + kCount, 1);
    cudaMemcpyAsync(first.data, slot.data, kBytes, kKind, stream.handle);
    cudaEventRecord(is_read.handle, stream.handle);
    if (waits) cudaEventSynchronize(is_read.handle);
    std::fill(slot.data, slot.data + kCount, 2);
    cudaMemcpyAsync(second.data, slot.data, kBytes, kKind, stream.handle);
    cudaMemcpyAsync(host.data, first.data, kBytes, kKind, stream.handle);
    cudaStreamSynchronize(stream.handle);
    return all_are(host.data, 1);
  };
  CHECK(copied(true));
  CHECK_FALSE(copied(false));

  // What is pageable was copied before the call returned.
  std::vector<int> pageable(kCount, 1);
  cudaMemcpyAsync(first.data, pageable.data(), kBytes, kKind, stream.handle);
  std::fill(pageable.begin(), pageable.end(), 2);
  cudaMemcpyAsync(host.data, first.data, kBytes, kKind, stream.handle);
  cudaStreamSynchronize(stream.handle);
  CHECK(all_are(host.data, 1));
}

TEST_CASE(
    "emulated streams: memory that another stream gets while it is still in use shows in some schedules") {
  const Deferred deferred;
  const Stream first, second;
  const Event is_done;
  const Block memory, host(/*is_pinned=*/true);
  // A block that goes back to a cache while the first stream has yet to read it, and is handed to the second.
  const auto copied = [&](bool waits) {
    fill(first.handle, memory.data, 1);
    cudaMemcpyAsync(host.data, memory.data, kBytes, kKind, first.handle);
    cudaEventRecord(is_done.handle, first.handle);
    if (waits) cudaStreamWaitEvent(second.handle, is_done.handle, 0);
    fill(second.handle, memory.data, 2);
    cudaStreamSynchronize(first.handle);
    const bool is_right = all_are(host.data, 1);
    cudaStreamSynchronize(second.handle);
    return is_right;
  };
  CHECK(right_of_20([&] { return copied(true); }) == 20);
  CHECK(right_of_20([&] { return copied(false); }) < 20);
}

// The address sanitizer ends the program where freed memory is touched.
#if !defined(__SANITIZE_ADDRESS__)
TEST_CASE("emulated streams: memory that was freed is poison to who reads it, and who writes it is found") {
  const Stream stream;
  const Block host(/*is_pinned=*/true);
  void *kept = nullptr, *freed = nullptr;
  REQUIRE(cudaMalloc(&kept, kBytes) == cudaSuccess);
  REQUIRE(cudaMalloc(&freed, kBytes) == cudaSuccess);
  fill(stream.handle, static_cast<int*>(freed), 3);
  cudaStreamSynchronize(stream.handle);
  const Captured reads(stream.handle, [&] { cudaMemcpyAsync(kept, freed, kBytes, kKind, stream.handle); });
  const Captured writes(stream.handle, [&] { fill(stream.handle, static_cast<int*>(freed), 3); });
  cudaFree(freed);  // under the graphs
  reads.replay(stream.handle);
  cudaMemcpyAsync(host.data, kept, kBytes, kKind, stream.handle);
  cudaStreamSynchronize(stream.handle);
  CHECK(all_are(host.data, -1));

  writes.replay(stream.handle);
  cudaStreamSynchronize(stream.handle);
  void* next = nullptr;
  CHECK_THROWS_WITH(cudaMalloc(&next, kBytes), Catch::Contains("written after it had been freed"));
  CHECK(cudaMalloc(&next, kBytes) == cudaSuccess);
  cudaFree(next);
  cudaFree(kept);
}
#endif

TEST_CASE("emulated streams: memory is freed when what uses it is done, and an error in it is not lost") {
  const Deferred deferred;
  const Block host(/*is_pinned=*/true);
  const Stream stream;
  void* freed = nullptr;
  REQUIRE(cudaMalloc(&freed, kBytes) == cudaSuccess);
  fill(stream.handle, static_cast<int*>(freed), 3);
  cudaMemcpyAsync(host.data, freed, kBytes, kKind, stream.handle);
  emulator::submit(stream.handle, {"planted", [] { throw Error("planted: it fails"); }});
  CHECK(cudaFree(freed) == cudaSuccess);
  CHECK(all_are(host.data, 3));
  CHECK_THROWS_WITH(cudaStreamSynchronize(stream.handle), "planted: it fails");
  CHECK(cudaStreamSynchronize(stream.handle) == cudaSuccess);
}

TEST_CASE("emulated streams: events happen when their turn comes") {
  const Deferred deferred;
  const Stream stream;
  const Event before, after;
  const Block device;
  CHECK(cudaEventQuery(after.handle) == cudaSuccess);  // never recorded
  cudaEventRecord(before.handle, stream.handle);
  fill(stream.handle, device.data, 1);
  cudaEventRecord(after.handle, stream.handle);
  float milliseconds = -1;
  CHECK(cudaEventQuery(after.handle) == cudaErrorNotReady);
  CHECK(cudaEventElapsedTime(&milliseconds, before.handle, after.handle) == cudaErrorNotReady);
  CHECK(cudaEventSynchronize(after.handle) == cudaSuccess);
  CHECK(cudaEventQuery(before.handle) == cudaSuccess);
  CHECK(cudaEventElapsedTime(&milliseconds, before.handle, after.handle) == cudaSuccess);
  CHECK(milliseconds > 0);
}

TEST_CASE("emulated capture: what cannot be recorded is refused, and there is no graph") {
  const StreamOrder order = GENERATE(StreamOrder::at_once, StreamOrder::deferred);
  emulator::set_stream_order(order);
  const Stream stream, other;
  const Event recorded, earlier;
  const Block device, pinned(/*is_pinned=*/true);
  std::vector<int> pageable(kCount);
  fill(stream.handle, device.data, 1);  // loaded
  cudaEventRecord(earlier.handle, stream.handle);
  cudaStreamSynchronize(stream.handle);
  const auto refused = [&](cudaError_t wanted, const std::function<cudaError_t()>& call) {
    cudaError_t found = cudaSuccess;
    const Captured captured(stream.handle, [&] {
      fill(stream.handle, device.data, 2);
      cudaEventRecord(recorded.handle, stream.handle);
      found = call();
    });
    CHECK(found == wanted);
    CHECK(captured.status == cudaErrorStreamCaptureInvalidated);
    CHECK(captured.graph == nullptr);
  };
  const auto last_error_of = [](const auto& call) {
    return [=] {
      call();
      return cudaGetLastError();
    };
  };
  void* block = nullptr;
  SECTION("waiting for the stream") {
    refused(cudaErrorStreamCaptureUnsupported, [&] { return cudaStreamSynchronize(stream.handle); });
  }
  SECTION("waiting for the device") {
    refused(cudaErrorStreamCaptureUnsupported, [] { return cudaDeviceSynchronize(); });
  }
  SECTION("waiting for a captured event") {
    refused(cudaErrorCapturedEvent, [&] { return cudaEventSynchronize(recorded.handle); });
  }
  SECTION("asking for a captured event") {
    refused(cudaErrorCapturedEvent, [&] { return cudaEventQuery(recorded.handle); });
  }
  SECTION("copies from and to pageable memory") {
    refused(cudaErrorStreamCaptureUnsupported,
            [&] { return cudaMemcpyAsync(device.data, pageable.data(), kBytes, kKind, stream.handle); });
    refused(cudaErrorStreamCaptureUnsupported,
            [&] { return cudaMemcpyAsync(pageable.data(), device.data, kBytes, kKind, stream.handle); });
  }
  SECTION("pinned memory") {
    refused(cudaErrorStreamCaptureUnsupported, [&] { return cudaMallocHost(&block, kBytes); });
  }
  SECTION("a stream without a fork") {
    refused(cudaErrorStreamCaptureIsolation, last_error_of([&] { fill(other.handle, device.data, 3); }));
    refused(cudaErrorStreamCaptureIsolation, [&] { return cudaEventRecord(earlier.handle, other.handle); });
    refused(cudaErrorStreamCaptureIsolation,
            [&] { return cudaStreamWaitEvent(stream.handle, earlier.handle, 0); });
  }
  SECTION("the first launch of a kernel") {
    const auto launch_first = [&] {
      emulator::launch("first", {reinterpret_cast<const void*>(first_kernel), 1, kCount, ""}, stream.handle,
                       [y = device.data] { first_kernel(y); });
    };
    if (order == StreamOrder::at_once)
      refused(cudaErrorStreamCaptureUnsupported, last_error_of(launch_first));
    launch_first();
    cudaStreamSynchronize(stream.handle);
    const Captured captured(stream.handle, launch_first);
    CHECK(captured.nodes == 1);
  }
  // A capture may begin anew, and nothing of those that were refused runs.
  const Captured captured(stream.handle, [&] { fill(stream.handle, device.data, 5); });
  REQUIRE(captured.graph != nullptr);
  captured.replay(stream.handle);
  cudaMemcpyAsync(pinned.data, device.data, kBytes, kKind, stream.handle);
  cudaStreamSynchronize(stream.handle);
  CHECK(all_are(pinned.data, 5));
  emulator::set_stream_order(StreamOrder::at_once);
}

TEST_CASE("emulated capture: a fork records what the other stream is given, and must be joined") {
  const Stream stream, other;
  const Event forked, joined;
  const Block device, pinned(/*is_pinned=*/true);
  fill(stream.handle, device.data, 1);
  const auto fork = [&] {
    cudaEventRecord(forked.handle, stream.handle);
    cudaStreamWaitEvent(other.handle, forked.handle, 0);
    fill(other.handle, device.data, 6);
  };
  const auto join = [&] {
    cudaEventRecord(joined.handle, other.handle);
    cudaStreamWaitEvent(stream.handle, joined.handle, 0);
  };
  const Captured unjoined(stream.handle, fork);
  CHECK(unjoined.status == cudaErrorStreamCaptureUnjoined);
  CHECK(unjoined.graph == nullptr);
  const Captured half_joined(stream.handle, [&] {
    fork();
    join();
    fill(other.handle, device.data, 7);
  });
  CHECK(half_joined.status == cudaErrorStreamCaptureUnjoined);
  const Captured captured(stream.handle, [&] {
    fork();
    join();
    cudaMemcpyAsync(pinned.data, device.data, kBytes, kKind, stream.handle);
  });
  REQUIRE(captured.graph != nullptr);
  CHECK(captured.nodes == 2);
  CHECK(all_are(pinned.data, 0));
  captured.replay(stream.handle);
  cudaStreamSynchronize(stream.handle);
  CHECK(all_are(pinned.data, 6));
  // Afterwards both are streams like any other.
  fill(other.handle, device.data, 8);
  CHECK(cudaStreamSynchronize(other.handle) == cudaSuccess);
  CHECK(cudaEventSynchronize(joined.handle) == cudaErrorCapturedEvent);
}

TEST_CASE("emulated capture: memory that is freed meanwhile is counted") {
  const Stream stream;
  void* block = nullptr;
  REQUIRE(cudaMalloc(&block, kBytes) == cudaSuccess);
  const int64_t before = emulator::frees_while_capturing();
  const Captured captured(stream.handle, [&] { CHECK(cudaFree(block) == cudaSuccess); });
  CHECK(captured.status == cudaSuccess);
  CHECK(emulator::frees_while_capturing() == before + 1);
  REQUIRE(cudaMalloc(&block, kBytes) == cudaSuccess);
  cudaFree(block);
  CHECK(emulator::frees_while_capturing() == before + 1);
}
