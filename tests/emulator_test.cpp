#include <nvtx3/nvToolsExt.h>

#include <catch2/catch.hpp>
#include <cmath>
#include <numeric>

#include "fovea/core/captured_graph.h"
#include "fovea/core/tensor.h"
#include "fovea/kernels/cuda/launch.h"
#include "fovea/kernels/relu.h"
#include "op_test.h"

// Kernels with planted bugs: what the emulator must find.
using namespace fovea;
using kernels::cuda::Grid;
using kernels::cuda::launch;

namespace {

constexpr int kThreads = 96;

/// Sums the block's numbers in shared memory; without barriers it is a race.
template <bool kHasBarrier>
__global__ void block_sum_kernel(const float* x, float* y) {
  FOVEA_SHARED(float, parts, kThreads);
  const unsigned i = threadIdx.x;
  parts[i] = x[blockIdx.x * kThreads + i];
  if (kHasBarrier) __syncthreads();
  if (i != 0) return;
  float sum = 0;
  for (int j = 0; j < kThreads; ++j) sum += parts[j];
  y[blockIdx.x] = sum;
}

// The address sanitizer ends the program at such a write, which is as good, and no case for a test.
#if !defined(__SANITIZE_ADDRESS__)
__global__ void write_beside_kernel(float* y, int count) {
  const int i = static_cast<int>(threadIdx.x);
  if (i <= count) y[i] = 1.0f;
}
#endif

__global__ void write_beside_shared_kernel(float* y) {
  FOVEA_SHARED(float, parts, kThreads);
  parts[threadIdx.x + 1] = 1.0f;
  __syncthreads();
  y[threadIdx.x] = parts[threadIdx.x];
}

/// Lane sums of a warp; with the wrong mask, half of the lanes are not waited for.
__global__ void warp_sum_kernel(const float* x, float* y, unsigned mask) {
  float sum = x[threadIdx.x];
  for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(mask, sum, step);
  y[threadIdx.x] = sum;
}

/// Lanes that left do not come to the shuffle that waits for them.
__global__ void divergent_shuffle_kernel(float* y) {
  if (threadIdx.x >= 16) return;
  y[threadIdx.x] = __shfl_xor_sync(0xffffffffu, y[threadIdx.x], 1);
}

__global__ void divergent_barrier_kernel(float* y) {
  if (threadIdx.x < 32) __syncthreads();
  y[threadIdx.x] = 1.0f;
}

__global__ void two_barriers_kernel(float* y) {
  if (threadIdx.x < 32) {
    __syncthreads();
  } else {
    __syncthreads();
  }
  y[threadIdx.x] = 1.0f;
}

/// Three rows: a ballot of the warp, then each half's own vote whether any lane, and whether all lanes, have
/// it.
__global__ void votes_kernel(int* votes) {
  const unsigned lane = threadIdx.x, half = lane < 16 ? 0x0000ffffu : 0xffff0000u;
  votes[lane] = static_cast<int>(__ballot_sync(0xffffffffu, lane % 8 == 0));
  votes[32 + lane] = __any_sync(half, lane == 3);
  votes[64 + lane] = __all_sync(half, lane != 3);
}

/// Lanes of one vote that give different masks.
__global__ void lonely_vote_kernel(int* votes) {
  votes[threadIdx.x] = __any_sync(threadIdx.x < 16 ? 0xffffffffu : 0xffff0000u, 1);
}

/// Reads what the other threads have not been seen to write.
__global__ void order_kernel(int* counter, int* order) {
  order[blockIdx.x * blockDim.x + threadIdx.x] = atomicAdd(counter, 1);
}

/// When a block counts itself among those that have left their parts.
enum class Counted { after_all_threads, before_the_others, before_the_part };

/// The last block to come adds up what all threads of all blocks have left, which is right only if a block
/// counts itself after its threads have left their parts.
template <Counted kCounted>
__global__ void last_block_sum_kernel(const float* x, float* parts, unsigned* counter, float* y) {
  FOVEA_SHARED(bool, is_last, 1);
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x, count = gridDim.x * blockDim.x;
  const auto count_block = [&] {
    if (threadIdx.x == 0) is_last[0] = atomicInc(counter, gridDim.x - 1) == gridDim.x - 1;
  };
  if (kCounted == Counted::before_the_part) count_block();
  parts[i] = x[i];
  __threadfence();
  if (kCounted == Counted::after_all_threads) __syncthreads();
  if (kCounted != Counted::before_the_part) count_block();
  __syncthreads();
  if (!is_last[0] || threadIdx.x != 0) return;
  __threadfence();
  float sum = 0;
  for (unsigned j = 0; j < count; ++j) sum += parts[j];
  *y = sum;
}

Tensor device_tensor(const std::vector<float>& values) {
  return Tensor::from(values, {static_cast<int64_t>(values.size())}).to(Device::cuda());
}

std::vector<float> counted(int count) {
  std::vector<float> values(static_cast<size_t>(count));
  std::iota(values.begin(), values.end(), 1.0f);
  return values;
}

Grid grid(unsigned blocks, unsigned threads) {
  return {dim3(blocks), dim3(threads)};
}

/// With what goes wrong in the kernel, which shows when it runs.
template <class... Arguments>
void run(const char* operation, Arguments... arguments) {
  launch(operation, arguments...);
  synchronize(Device::cuda());
}

}  // namespace

TEST_CASE("emulator: a sum over shared memory") {
  const Tensor x = device_tensor(counted(3 * kThreads));
  Tensor y = Tensor::empty({3}, Dtype::f32, Device::cuda());
  for (int i = 0; i < 10; ++i) {
    launch("sum", block_sum_kernel<true>, grid(3, kThreads), x.data<float>(), y.data<float>());
    CHECK(y.to_doubles() == std::vector<double>{4656, 13872, 23088});
  }
}

TEST_CASE("emulator: a missing barrier shows") {
  const Tensor x = device_tensor(counted(kThreads));
  Tensor y = Tensor::empty({1}, Dtype::f32, Device::cuda());
  int wrong = 0;
  for (int i = 0; i < 20; ++i) {
    launch("sum", block_sum_kernel<false>, grid(1, kThreads), x.data<float>(), y.data<float>());
    if (y.item() != 4656) ++wrong;  // NaN: shared memory starts poisoned
  }
  CHECK(wrong >= 19);  // right only if thread 0 happens to run last
}

#if !defined(__SANITIZE_ADDRESS__)
TEST_CASE("emulator: a write beside device memory") {
  void* block = nullptr;
  REQUIRE(cudaMalloc(&block, 10 * sizeof(float)) == cudaSuccess);
  test::check_error("beside",
                    [&] { run("beside", write_beside_kernel, grid(1, 32), static_cast<float*>(block), 10); });
  cudaFree(block);
}
#endif

TEST_CASE("emulator: a write beside shared memory") {
  Tensor y = Tensor::empty({kThreads}, Dtype::f32, Device::cuda());
  CHECK_THROWS_WITH(run("beside", write_beside_shared_kernel, grid(1, kThreads), y.data<float>()),
                    Catch::Contains("beside a shared array of 384 bytes"));
}

TEST_CASE("emulator: shuffles") {
  const Tensor x = device_tensor(counted(64));
  Tensor y = Tensor::empty({64}, Dtype::f32, Device::cuda());
  launch("shuffle", warp_sum_kernel, grid(1, 64), x.data<float>(), y.data<float>(), 0xffffffffu);
  CHECK(y.to_doubles()[5] == 528);
  CHECK(y.to_doubles()[40] == 1552);
  CHECK_THROWS_WITH(run("shuffle", warp_sum_kernel, grid(1, 64), x.data<float>(), y.data<float>(), 0xffffu),
                    Catch::Contains("not in its own mask 0xffff"));
  CHECK_THROWS_WITH(run("shuffle", divergent_shuffle_kernel, grid(1, 32), y.data<float>()),
                    Catch::Contains("16 (the first is 0) wait for lanes 0xffffffff"));
  // A warp that has 16 threads cannot be waited for as a whole.
  CHECK_THROWS_WITH(
      run("shuffle", warp_sum_kernel, grid(1, 48), x.data<float>(), y.data<float>(), 0xffffffffu),
      Catch::Contains("wait for lanes"));
}

TEST_CASE("emulator: barriers that not all threads reach") {
  Tensor y = Tensor::empty({64}, Dtype::f32, Device::cuda());
  CHECK_THROWS_WITH(
      run("barrier", divergent_barrier_kernel, grid(1, 64), y.data<float>()),
      Catch::Contains("32 (the first is 32) have ended") && Catch::Contains("wait at the barrier"));
  CHECK_THROWS_WITH(run("barrier", two_barriers_kernel, grid(1, 64), y.data<float>()),
                    Catch::Contains("thread 0 is at the barrier at"));
  // The next launch is not disturbed by threads that were given up.
  const Tensor x = device_tensor(counted(kThreads));
  Tensor sum = Tensor::empty({1}, Dtype::f32, Device::cuda());
  launch("sum", block_sum_kernel<true>, grid(1, kThreads), x.data<float>(), sum.data<float>());
  CHECK(sum.item() == 4656);
}

TEST_CASE("emulator: blocks and threads run in another order each time, drawn from the seed") {
  const auto order_of = [](uint64_t seed) {
    emulator::set_schedule(seed);
    Tensor counter = Tensor::zeros({}, Dtype::i32, Device::cuda());
    Tensor order = Tensor::empty({8 * 32}, Dtype::i32, Device::cuda());
    launch("order", order_kernel, grid(8, 32), counter.data<int32_t>(), order.data<int32_t>());
    return order.to_doubles();
  };
  const std::vector<double> first = order_of(1);
  CHECK(order_of(2) != first);
  CHECK_FALSE(std::is_sorted(first.begin(), first.end()));
  std::vector<double> sorted = first;
  std::sort(sorted.begin(), sorted.end());
  for (size_t i = 0; i < sorted.size(); ++i) CHECK(sorted[i] == static_cast<double>(i));
}

TEST_CASE(
    "emulator: the last block of several finds what the others have left, if they count themselves last") {
  constexpr unsigned kBlocks = 7, kWidth = 64;
  const Tensor x = device_tensor(counted(kBlocks * kWidth));
  const double wanted = kBlocks * kWidth * (kBlocks * kWidth + 1) / 2;
  Tensor counter = Tensor::zeros({}, Dtype::i32, Device::cuda());
  const auto right_of_100 = [&](auto kernel) {
    int right = 0;
    for (int i = 0; i < 100; ++i) {
      Tensor parts = Tensor::full({kBlocks * kWidth}, std::nan(""), Dtype::f32, Device::cuda());
      Tensor y = Tensor::full({}, std::nan(""), Dtype::f32, Device::cuda());
      launch("last block", kernel, grid(kBlocks, kWidth), x.data<float>(), parts.data<float>(),
             reinterpret_cast<unsigned*>(counter.data<int32_t>()), y.data<float>());
      if (y.item() == wanted) ++right;
      CHECK(counter.item() == 0);  // for the next launch
    }
    return right;
  };
  CHECK(right_of_100(last_block_sum_kernel<Counted::after_all_threads>) == 100);
  if (emulator::multiprocessors() == 1) return;  // one block after the other
  CHECK(right_of_100(last_block_sum_kernel<Counted::before_the_others>) < 100);
  CHECK(right_of_100(last_block_sum_kernel<Counted::before_the_part>) < 100);
}

TEST_CASE(
    "emulator: blocks run in turn, as many as the device has multiprocessors, but one where that is all") {
  constexpr unsigned kBlocks = 3;
  Tensor counter = Tensor::zeros({}, Dtype::i32, Device::cuda());
  Tensor order = Tensor::empty({kBlocks * 32}, Dtype::i32, Device::cuda());
  launch("order", order_kernel, grid(kBlocks, 32), counter.data<int32_t>(), order.data<int32_t>());
  // In the order of the counter, how often another block has the next turn.
  std::vector<size_t> turns(kBlocks * 32);
  const std::vector<double> counts = order.to_doubles();
  for (size_t i = 0; i < counts.size(); ++i) turns[static_cast<size_t>(counts[i])] = i / 32;
  unsigned changes = 0;
  for (size_t i = 1; i < turns.size(); ++i) changes += turns[i] != turns[i - 1] ? 1 : 0;
  if (emulator::multiprocessors() == 1) {
    CHECK(changes == kBlocks - 1);
  } else {
    CHECK(changes > kBlocks - 1);
  }
}

TEST_CASE("emulator: a kernel must not be given CPU memory, nor an impossible grid") {
  Tensor y = Tensor::empty({64});
  CHECK_THROWS_WITH(run("order", divergent_barrier_kernel, grid(1, 32), y.data<float>()),
                    Catch::Contains("points to CPU memory"));
  Tensor z = y.to(Device::cuda());
  test::check_error("wide", [&] { run("wide", divergent_barrier_kernel, grid(1, 1025), z.data<float>()); });
  test::check_error("none", [&] { run("none", divergent_barrier_kernel, grid(0, 32), z.data<float>()); });
}

TEST_CASE("emulator: votes count the lanes that take part, and a wrong mask is named") {
  Tensor votes = Tensor::zeros({3, 32}, Dtype::i32, Device::cuda());
  launch("votes", votes_kernel, grid(1, 32), votes.data<int32_t>());
  std::vector<double> wanted(96);
  for (size_t lane = 0; lane < 32; ++lane) {
    wanted[lane] = 0x01010101;              // every eighth lane, among all
    wanted[32 + lane] = lane < 16 ? 1 : 0;  // any of its half, where only the lower half has one
    wanted[64 + lane] = lane < 16 ? 0 : 1;  // all of its half
  }
  CHECK(votes.to_doubles() == wanted);
  test::check_error("votes", [&] { run("votes", lonely_vote_kernel, grid(1, 32), votes.data<int32_t>()); });
}

TEST_CASE("emulator: captured work runs when it is replayed, as often as it is") {
  Tensor counter = Tensor::zeros({}, Dtype::i32, Device::cuda());
  Tensor order = Tensor::zeros({32}, Dtype::i32, Device::cuda());
  const CapturedGraph graph(Device::cuda(), [&] {
    launch("order", order_kernel, grid(1, 32), counter.data<int32_t>(), order.data<int32_t>());
    Tensor scratch = Tensor::zeros({1000}, Dtype::f32, Device::cuda());  // goes back to the graph's own pool
  });
  CHECK(graph.nodes() == 2);
  CHECK(counter.item() == 0);
  graph.replay();
  graph.replay();
  CHECK(counter.item() == 64);
  CHECK_THROWS_AS(CapturedGraph(Device::cuda(), [&] { counter.item(); }), DeviceError);
  CHECK_THROWS_AS(CapturedGraph(Device::cpu(), [] {}), DeviceError);
  graph.replay();
  CHECK(counter.item() == 96);
}

TEST_CASE("emulator: a kernel that throws ends its range for the profiler") {
  Tensor x = Tensor::zeros({8}, Dtype::i32, Device::cuda());
  test::check_error("relu", [&] { kernels::relu_forward(x, x); });
  CHECK(nvtxRangePushA("another") == 0);
  CHECK(nvtxRangePop() == 0);
}

TEST_CASE("emulator: memory that a graph replays with is not handed out") {
  Tensor result = Tensor::zeros({4096}, Dtype::f32, Device::cuda());
  const CapturedGraph graph(Device::cuda(), [&] {
    Tensor scratch = Tensor::zeros({4096}, Dtype::f32, Device::cuda());
    result.copy_from(scratch);
  });
  std::vector<Tensor> kept;
  for (int i = 0; i < 8; ++i) kept.push_back(Tensor::full({4096}, 7, Dtype::f32, Device::cuda()));
  graph.replay();
  for (const Tensor& tensor : kept) CHECK(tensor.to_doubles() == std::vector<double>(4096, 7.0));
}
