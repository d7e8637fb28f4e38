#include "fovea/kernels/cuda/conv/cudnn_plans.h"

#include <algorithm>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "fovea/core/cuda/runtime.h"
#include "fovea/core/environment.h"
#include "fovea/kernels/cuda/conv/engines.h"
#include "fovea/kernels/cuda/conv/pad_channels.h"
#include "fovea/kernels/cuda/conv/stopwatch.h"
#include "fovea/kernels/cuda/workspace.h"

// The part of cuDNN in conv_plans: what it proposes, and how its engines are run.
namespace fovea::kernels::cuda {
namespace {

using fovea::cuda::check_cuda;
using fovea::cuda::current_device;

constexpr size_t kEarly = 16;       // places in the order of trial of which
constexpr size_t kPaddedEarly = 6;  // so many at most are for padded channels

/// The proposals that are acceptable, in cuDNN's order.
std::vector<ConvChoice> acceptable_choices(const ConvKey& problem, bool is_padded,
                                           const cudnn::Target& target) {
  std::vector<ConvChoice> result;
  for (const cudnn::Proposal& proposal : cudnn::proposals(problem, target)) {
    if (!cudnn::is_acceptable(problem, proposal)) continue;
    result.push_back({.engine = proposal.engine, .is_padded = is_padded, .microseconds = 0});
  }
  return result;
}

/// What is worth a trial, in the order in which it is tried: cuDNN's proposals, the best of those with padded
/// channels among them.
std::vector<ConvChoice> choices_for(const ConvKey& problem, const cudnn::Target& target) {
  std::vector<ConvChoice> result = acceptable_choices(problem, /*is_padded=*/false, target);
  const ConvKey padded = problem.padded();
  const bool uses_tensor_cores = problem.dtype != Dtype::f32 || problem.tf32;
  if (padded == problem || !uses_tensor_cores) return result;
  const std::vector<ConvChoice> more = acceptable_choices(padded, /*is_padded=*/true, target);
  const size_t early = std::min(more.size(), kPaddedEarly), before = std::min(result.size(), kEarly - early);
  const auto at = [](const auto& list, size_t i) { return list.begin() + static_cast<int64_t>(i); };
  result.insert(at(result, before), more.begin(), at(more, early));
  result.insert(result.end(), at(more, early), more.end());
  return result;
}

/// The tensor itself if an engine can take it in this shape, else `scratch`, of that shape.
Tensor taken_as(const Tensor& tensor, const Shape& shape, Tensor& scratch) {
  const auto address = reinterpret_cast<uintptr_t>(tensor.raw());
  if (tensor.shape() == shape && address % cudnn::EnginePlan::kAlignment == 0) return tensor;
  if (!scratch.defined()) scratch = Tensor::empty(shape, tensor.dtype(), tensor.device());
  return scratch;
}

/// Runs an engine. Tensors whose channels or whose alignment it cannot take go through scratch memory.
/// computed: what the engine computes, the problem padded or not
void run(const ConvKey& problem, const ConvKey& computed, const cudnn::EnginePlan& engine,
         ConvTensors& tensors, ConvScratch& scratch) {
  const char* operation = operation_of(problem.pass);
  ConvTensors taken{taken_as(tensors.x, computed.x(), scratch.x),
                    taken_as(tensors.weight, computed.weight(), scratch.weight),
                    taken_as(tensors.y, computed.y(), scratch.y)};
  Tensor &result = tensors.result(problem.pass), &taken_result = taken.result(problem.pass);
  for (const auto& [from, to] : {std::pair(&tensors.x, &taken.x), std::pair(&tensors.weight, &taken.weight),
                                 std::pair(&tensors.y, &taken.y)}) {
    if (from != &result && to->raw() != from->raw()) pad_channels(operation, *from, *to);
  }
  if (!scratch.workspace.defined()) {
    scratch.workspace = workspace_of(engine.workspace_bytes(), result.device());
  }
  engine.execute(taken.x.raw(), taken.weight.raw(), taken.y.raw(), address_of(scratch.workspace));
  if (taken_result.raw() != result.raw()) pad_channels(operation, taken_result, result);
}

std::string name_of_device(int device) {
  cudaDeviceProp found{};
  check_cuda(cudaGetDeviceProperties(&found, device), "conv: properties of a device");
  return found.name;
}

/// cuDNN on the current device.
ConvLibrary library() {
  const cudnn::Target target = cudnn::Target::current();
  return {.name = "cuDNN " + cudnn::version(),
          .device = name_of_device(current_device()),
          .proposals = [target](const ConvKey& problem) { return choices_for(problem, target); },
          .build = [target](const ConvKey& problem, const ConvChoice& choice) -> ConvPlan {
            const ConvKey computed = choice.is_padded ? problem.padded() : problem;
            const auto engine = std::make_shared<const cudnn::EnginePlan>(computed, *choice.engine, target);
            return [problem, computed, engine](ConvTensors& tensors, ConvScratch& scratch) {
              run(problem, computed, *engine, tensors, scratch);
            };
          }};
}

ConvPlans plans_on_current_device() {
  const Device device = Device::cuda(current_device());
  if (environment("FOVEA_AUTOTUNE") == "0") return {library(), device, /*cache_folder=*/""};
  return {library(), device, cache_folder(), seconds_in_graph};
}

}  // namespace

std::shared_ptr<const ConvPlan> plan_for(const ConvKey& problem) {
  // Never destroyed: cuDNN may be gone before static objects are. Held during a trial, so that another thread
  // neither makes it again nor disturbs the measurement.
  static auto* mutex = new std::mutex;
  static auto* devices = new std::unordered_map<int, ConvPlans>;
  const std::lock_guard lock(*mutex);
  const int device = current_device();
  auto known = devices->find(device);
  if (known == devices->end()) {
    ConvPlans::check_can_choose();
    known = devices->emplace(device, plans_on_current_device()).first;
  }
  return known->second.plan_for(problem);
}

}  // namespace fovea::kernels::cuda
