#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <iostream>
#include <map>

#include "fovea/kernels/cuda/conv/engines.h"
#include "zoo_convolutions.h"

// cuDNN proposes engines, and builds plans, for a device that is described to it: no device is needed.
template <>
inline constexpr auto fovea::cudnn::attribute_type<cudnnPointwiseMode_t> = CUDNN_TYPE_POINTWISE_MODE;

namespace fovea {
namespace {

using cudnn::EnginePlan;
using cudnn::Proposal;
using cudnn::Target;
using kernels::ConvPass;
using kernels::cuda::ConvKey;

/// An H100 SXM in cuDNN's own JSON.
constexpr const char* kH100 = R"({
  "deviceName": "NVIDIA H100 80GB HBM3", "deviceVer": 900, "multiProcessorCount": 132,
  "cudaDeviceId": 0, "pciDeviceId": 0, "driverVer": 13000, "isTccDriver": 0, "supportCoopLaunch": 1,
  "smClockRateKHz": 1980000, "memClockRateKHz": 2619000, "totalGlobalMem": 85017493504,
  "l2CacheSize": 52428800, "warpSize": 32, "maxThreadsPerBlock": 1024, "maxThreadsPerSM": 2048,
  "maxCtasPerSM": 32, "maxBlockSize": [1024, 1024, 64], "maxGridSize": [2147483647, 65535, 65535],
  "regsPerBlock": 65536, "maxRegistersPerSM": 65536, "maxSharedMemoryPerBlock": 49152,
  "maxSharedMemoryPerBlockOptin": 232448, "reservedSharedMemoryPerBlock": 1024})";

/// A Tesla T4 likewise.
constexpr const char* kT4 = R"({
  "deviceName": "Tesla T4", "deviceVer": 750, "multiProcessorCount": 40,
  "cudaDeviceId": 0, "pciDeviceId": 0, "driverVer": 13000, "isTccDriver": 0, "supportCoopLaunch": 1,
  "smClockRateKHz": 1590000, "memClockRateKHz": 5001000, "totalGlobalMem": 15835660288,
  "l2CacheSize": 4194304, "warpSize": 32, "maxThreadsPerBlock": 1024, "maxThreadsPerSM": 1024,
  "maxCtasPerSM": 16, "maxBlockSize": [1024, 1024, 64], "maxGridSize": [2147483647, 65535, 65535],
  "regsPerBlock": 65536, "maxRegistersPerSM": 65536, "maxSharedMemoryPerBlock": 49152,
  "maxSharedMemoryPerBlockOptin": 65536, "reservedSharedMemoryPerBlock": 0})";

const Target& t4() {
  static const Target target = Target::described(kT4);
  return target;
}

const Target& h100() {
  static const Target target = Target::described(kH100);
  return target;
}

constexpr int64_t kBatch = 128;

/// The convolutions of models of the zoo, each once, by its description.
std::map<std::string, ConvKey> convolutions(const std::vector<std::string>& names) {
  std::map<std::string, ConvKey> result;
  for (const std::string& name : names) {
    for (const ZooConvolution& convolution : convolutions_of(name, kBatch)) {
      const ConvKey key{convolution.problem, ConvPass::forward, Dtype::f32, /*tf32=*/false};
      result.emplace(key.str(), key);
    }
  }
  return result;
}

std::vector<Proposal> acceptable(const ConvKey& problem, int64_t workspace_limit,
                                 const Target& target = h100()) {
  std::vector<Proposal> result = cudnn::proposals(problem, target);
  std::erase_if(result, [&](const Proposal& proposal) {
    return !cudnn::is_acceptable(problem, proposal, workspace_limit);
  });
  return result;
}

constexpr ConvPass kPasses[] = {ConvPass::forward, ConvPass::backward_input, ConvPass::backward_weight};

ConvKey example(ConvPass pass, Dtype dtype, bool tf32 = false) {
  return {{kBatch, 16, 16, 64, 64, 3, 3, 1, 1}, pass, dtype, tf32};
}

TEST_CASE("cudnn: every convolution of every model has an engine on an H100") {
  const std::map<std::string, ConvKey> problems = convolutions(model_names());
  CHECK(problems.size() >= 100);
  for (const auto& [description, forward] : problems) {
    for (const ConvPass pass : kPasses) {
      for (const Dtype dtype : {Dtype::bf16, Dtype::f16, Dtype::f32}) {
        ConvKey problem = forward;
        problem.pass = pass;
        problem.dtype = dtype;
        INFO(problem.str());
        const std::vector<Proposal> engines = acceptable(problem, cudnn::kWorkspaceLimit);
        REQUIRE_FALSE(engines.empty());
        const EnginePlan plan(problem, engines.front().engine, h100());
        CHECK(plan.workspace_bytes() <= cudnn::kWorkspaceLimit);
        const ConvKey padded = problem.padded();
        if (!(padded == problem)) CHECK_FALSE(acceptable(padded, cudnn::kWorkspaceLimit).empty());
      }
    }
  }
}

TEST_CASE("cudnn: every convolution of every model has an engine on a T4, in f32 and f16") {
  const std::map<std::string, ConvKey> problems = convolutions(model_names());
  for (const auto& [description, forward] : problems) {
    for (const ConvPass pass : kPasses) {
      for (const Dtype dtype : {Dtype::f16, Dtype::f32}) {
        ConvKey problem = forward;
        problem.pass = pass;
        problem.dtype = dtype;
        INFO(problem.str());
        const std::vector<Proposal> engines = acceptable(problem, cudnn::kWorkspaceLimit, t4());
        REQUIRE_FALSE(engines.empty());
        const EnginePlan plan(problem, engines.front().engine, t4());
        CHECK(plan.workspace_bytes() <= cudnn::kWorkspaceLimit);
      }
    }
  }
}

constexpr size_t kTried = 16;  // engines of a convolution that a trial times
constexpr int64_t kSmallWorkspace = int64_t{32} << 20;

/// What cuDNN offers for some convolutions, and says of the engines that a trial would take.
struct Offer {
  size_t fewest = kTried, fewest_small = kTried;  // engines of a convolution; those with a small workspace
  size_t compiled = 0;                            // those that compile at run time
  int64_t first_workspace = 0, workspace = 0;     // the largest of the first engines, and of all
};

Offer offer_of(const std::map<std::string, ConvKey>& convolutions, ConvPass pass, Dtype dtype, int64_t N) {
  Offer offer;
  for (const auto& [description, each] : convolutions) {
    ConvKey problem = each;
    problem.pass = pass;
    problem.dtype = dtype;
    problem.N = N;
    std::vector<Proposal> engines = acceptable(problem, cudnn::kWorkspaceLimit);
    INFO(problem.str());
    REQUIRE_FALSE(engines.empty());
    engines.resize(std::min(engines.size(), kTried));
    size_t small = 0;
    for (const Proposal& engine : engines) {
      offer.compiled += engine.has(CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION) ? 1 : 0;
      small += engine.workspace_bytes <= kSmallWorkspace ? 1 : 0;
      offer.workspace = std::max(offer.workspace, engine.workspace_bytes);
    }
    offer.fewest = std::min(offer.fewest, engines.size());
    offer.fewest_small = std::min(offer.fewest_small, small);
    offer.first_workspace = std::max(offer.first_workspace, engines.front().workspace_bytes);
  }
  return offer;
}

// Batches of training, of evaluation, and what 128 leaves of 10,000 images. Each engine that compiles at run
// time would take a second of a trial; a large workspace takes memory from the batch.
TEST_CASE(
    "cudnn: what training and evaluation need has engines enough, none to be compiled, few large "
    "workspaces") {
  const std::map<std::string, ConvKey> problems =
      convolutions({"attention56", "attention92", "attention92-wide"});
  CHECK(problems.size() >= 50);
  struct Use {
    int64_t N;
    bool is_training;
  };
  for (const Use use : {Use{128, true}, Use{512, true}, Use{500, false}, Use{16, false}}) {
    for (const Dtype dtype : {Dtype::bf16, Dtype::f16}) {
      for (const ConvPass pass : kPasses) {
        if (!use.is_training && pass != ConvPass::forward) continue;
        const Offer offer = offer_of(problems, pass, dtype, use.N);
        std::cout << kernels::cuda::operation_of(pass) << " " << dtype << " N" << use.N << ": "
                  << problems.size() << " convolutions, of the first " << kTried << " engines at least "
                  << offer.fewest << " are there and " << offer.fewest_small
                  << " need at most 32 MiB; largest workspace " << (offer.first_workspace >> 10)
                  << " KiB of the first engines, " << (offer.workspace >> 10) << " KiB of all\n";
        INFO(kernels::cuda::operation_of(pass) << " " << dtype << " N" << use.N);
        CHECK(offer.fewest == kTried);
        CHECK(offer.compiled == 0);
        CHECK(offer.first_workspace <= kSmallWorkspace);
        CHECK(offer.fewest_small >= kTried / 2);
      }
    }
  }
}

/// The engines that cuDNN has for a relu alone: it makes their kernels at run time.
std::vector<cudnn::Descriptor> engines_of_relu() {
  const auto tensor = [](int64_t id) {
    const std::array<int64_t, 4> extents = {8, 64, 16, 16}, strides = {16384, 1, 1024, 64};
    cudnn::Descriptor result(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    result.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, id);
    result.set(CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_DATA_HALF);
    result.set_all(CUDNN_ATTR_TENSOR_DIMENSIONS, std::span<const int64_t>(extents));
    result.set_all(CUDNN_ATTR_TENSOR_STRIDES, std::span<const int64_t>(strides));
    result.set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, int64_t{16});
    result.finalize();
    return result;
  };
  cudnn::Descriptor relu(CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
  relu.set(CUDNN_ATTR_POINTWISE_MODE, CUDNN_POINTWISE_RELU_FWD);
  relu.set(CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_DATA_FLOAT);
  relu.finalize();
  cudnn::Descriptor operation(CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
  operation.set(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, relu);
  operation.set(CUDNN_ATTR_OPERATION_POINTWISE_XDESC, tensor(1));
  operation.set(CUDNN_ATTR_OPERATION_POINTWISE_YDESC, tensor(2));
  operation.finalize();
  cudnn::Descriptor graph(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
  h100().name_by_handle(graph, CUDNN_ATTR_OPERATIONGRAPH_HANDLE);
  graph.set(CUDNN_ATTR_OPERATIONGRAPH_OPS, operation);
  graph.finalize();
  std::vector<cudnn::Descriptor> engines;
  const auto count = graph.get<int64_t>(CUDNN_ATTR_OPERATIONGRAPH_ENGINE_GLOBAL_COUNT);
  for (int64_t i = 0; i < count; ++i) {
    cudnn::Descriptor engine(CUDNN_BACKEND_ENGINE_DESCRIPTOR);
    engine.set(CUDNN_ATTR_ENGINE_OPERATION_GRAPH, graph);
    engine.set(CUDNN_ATTR_ENGINE_GLOBAL_INDEX, i);
    h100().name_by_properties(engine, CUDNN_ATTR_ENGINE_DEVICEPROP);
    try {
      engine.finalize();
      engines.push_back(std::move(engine));
    } catch (const DeviceError&) {
      // Not for this device.
    }
  }
  return engines;
}

TEST_CASE("cudnn: an engine that compiles at run time is told") {
  size_t compiled = 0;
  for (const cudnn::Descriptor& engine : engines_of_relu()) {
    const auto behaviours = cudnn::behaviours_of(engine);
    compiled += std::count(behaviours.begin(), behaviours.end(), CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION) > 0;
  }
  CHECK(compiled > 0);
}

TEST_CASE("cudnn: an engine is the same when it is built again from its number and settings") {
  for (const ConvPass pass : kPasses) {
    for (const Dtype dtype : {Dtype::bf16, Dtype::f32}) {
      const ConvKey problem = example(pass, dtype);
      size_t with_knobs = 0;
      for (const Proposal& proposal : acceptable(problem, cudnn::kWorkspaceLimit)) {
        INFO(problem.str() << ", engine " << proposal.engine.index);
        CHECK(EnginePlan(problem, proposal.engine, h100()).workspace_bytes() == proposal.workspace_bytes);
        with_knobs += proposal.engine.knobs.empty() ? 0 : 1;
      }
      CHECK(with_knobs >= 1);
    }
  }
}

TEST_CASE("cudnn: engines that are not wanted are proposed, and left out") {
  for (const ConvPass pass : {ConvPass::backward_input, ConvPass::backward_weight}) {
    const ConvKey problem = example(pass, Dtype::f32);
    const auto is_chaotic = [](const Proposal& p) { return p.has(CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC); };
    const std::vector<Proposal> all = cudnn::proposals(problem, h100()),
                                left = acceptable(problem, cudnn::kWorkspaceLimit);
    CHECK(std::any_of(all.begin(), all.end(), is_chaotic));
    CHECK(std::none_of(left.begin(), left.end(), is_chaotic));
  }
  const auto uses_tensor_cores = [](const Proposal& p) { return p.has(CUDNN_NUMERICAL_NOTE_TENSOR_CORE); };
  for (const ConvPass pass : kPasses) {
    const std::vector<Proposal> strict = acceptable(example(pass, Dtype::f32), cudnn::kWorkspaceLimit),
                                fast = acceptable(example(pass, Dtype::f32, true), cudnn::kWorkspaceLimit);
    CHECK(std::none_of(strict.begin(), strict.end(), uses_tensor_cores));
    CHECK(std::any_of(fast.begin(), fast.end(), uses_tensor_cores));
  }
}

TEST_CASE("cudnn: no engine is left without any workspace, and none for what cannot be") {
  for (const ConvPass pass : kPasses) {
    const ConvKey problem = example(pass, Dtype::bf16);
    CHECK(acceptable(problem, -1).empty());
    const std::vector<Proposal> all = acceptable(problem, cudnn::kWorkspaceLimit),
                                none_needed = acceptable(problem, 0);
    CHECK(none_needed.size() < all.size());
    for (const Proposal& proposal : none_needed) CHECK(proposal.workspace_bytes == 0);

    ConvKey window_too_large = problem;
    window_too_large.R = window_too_large.S = 19;
    CHECK_THROWS_AS(cudnn::proposals(window_too_large, h100()), DeviceError);
    CHECK_THROWS_AS(cudnn::proposals(example(pass, Dtype::f64), h100()), Error);
    CHECK_THROWS_AS(EnginePlan(problem, {.index = 9999, .knobs = {}}, h100()), DeviceError);
  }
  CHECK_THROWS_AS(Target::described("{}"), DeviceError);
}

TEST_CASE("cudnn: a device that is not there is an error") {
  if (cuda_status().device_count == 0) CHECK_THROWS_AS(Target::current(), DeviceError);
}

TEST_CASE("cudnn: an error says what cuDNN says") {
  try {
    Target::described("{\"deviceName\": 3}");
    FAIL("no error");
  } catch (const DeviceError& error) {
    INFO(error.what());
    CHECK(std::string(error.what()).starts_with("cudnn: "));
    CHECK(std::string(error.what()).find("CUDNN_STATUS_") != std::string::npos);
  }
}

}  // namespace
}  // namespace fovea
