#include "fovea/kernels/cuda/conv_plans.h"

#include <algorithm>
#include <iostream>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "fovea/core/check.h"
#include "fovea/core/cuda/runtime.h"
#include "fovea/core/environment.h"
#include "fovea/kernels/cuda/conv_reference.h"
#include "fovea/kernels/cuda/conv_trial.h"
#include "fovea/kernels/cuda/pad_channels.h"
#include "fovea/kernels/cuda/stopwatch.h"
#include "fovea/kernels/cuda/workspace.h"

namespace fovea::kernels::cuda {
namespace {

using fovea::cuda::check_cuda;
using fovea::cuda::current_device;
using fovea::cuda::is_recording;

constexpr size_t kTried = 16;       // engines that are timed for a convolution
constexpr size_t kPaddedTried = 6;  // of them at most, with padded channels

bool is_autotuning() {
  return environment("FOVEA_AUTOTUNE") != "0";
}

/// What is known of a device.
struct DevicePlans {
  explicit DevicePlans(int device)
      : target(cudnn::Target::current()),
        cache(is_autotuning() ? cache_folder() : "", "cuDNN " + cudnn::version(), name_of_device(device)) {}

  static std::string name_of_device(int device) {
    cudaDeviceProp found{};
    check_cuda(cudaGetDeviceProperties(&found, device), "conv: properties of a device");
    return found.name;
  }

  struct Hash {
    size_t operator()(const ConvProblem& problem) const { return problem.hash(); }
  };

  cudnn::Target target;
  ConvCache cache;
  std::unordered_map<ConvProblem, std::unique_ptr<ConvPlan>, Hash> plans;
};

/// The proposals that are acceptable, in cuDNN's order.
std::vector<ConvChoice> acceptable_choices(const ConvProblem& problem, bool is_padded,
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
std::vector<ConvChoice> choices_for(const ConvProblem& problem, const cudnn::Target& target) {
  std::vector<ConvChoice> result = acceptable_choices(problem, /*is_padded=*/false, target);
  const ConvProblem padded = problem.padded();
  const bool uses_tensor_cores = problem.dtype != Dtype::f32 || problem.tf32;
  if (padded == problem || !uses_tensor_cores) return result;
  const std::vector<ConvChoice> more = acceptable_choices(padded, /*is_padded=*/true, target);
  const size_t early = std::min(more.size(), kPaddedTried), before = std::min(result.size(), kTried - early);
  const auto at = [](const auto& list, size_t i) { return list.begin() + static_cast<int64_t>(i); };
  result.insert(at(result, before), more.begin(), at(more, early));
  result.insert(result.end(), at(more, early), more.end());
  return result;
}

/// "engine 62 (2=4 13=0) of cuDNN with padded channels"
std::string name_of(const ConvChoice& choice) {
  std::string settings;
  for (const auto& [type, value] : choice.engine->knobs) {
    settings += str(settings.empty() ? " (" : " ", type, "=", value);
  }
  if (!settings.empty()) settings += ")";
  return str("engine ", choice.engine->index, settings, " of cuDNN",
             choice.is_padded ? " with padded channels" : "");
}

/// The first choice that can be built.
ConvChoice first_choice(const ConvProblem& problem, const std::vector<ConvChoice>& choices,
                        const cudnn::Target& target) {
  for (const ConvChoice& choice : choices) {
    try {
      const ConvPlan plan(problem, choice, target);
      return choice;
    } catch (const DeviceError&) {
      // The next, then.
    }
  }
  return {};
}

struct TriedChoice {
  ConvChoice choice;
  bool is_final = false;  // worth keeping
};

/// The choice that a trial finds best.
TriedChoice tried_choice(const ConvProblem& problem, const std::vector<ConvChoice>& choices,
                         const cudnn::Target& target) {
  struct Running {
    size_t place;
    ConvPlan plan;
    ConvScratch scratch;
  };
  std::optional<Running> running;  // one after another: workspaces are large
  std::vector<ConvCandidate> candidates;
  for (size_t place = 0; place < choices.size(); ++place) {
    candidates.push_back({name_of(choices[place]), [&, place](ConvTensors& tensors) {
                            if (!running || running->place != place) {
                              running.reset();
                              running.emplace(Running{place, ConvPlan(problem, choices[place], target), {}});
                            }
                            running->plan.run(tensors, running->scratch);
                          }});
  }
  const std::optional<ConvWinner> winner =
      fastest_candidate(problem, Device::cuda(current_device()), candidates, kTried, seconds_in_graph);
  if (!winner) return {};
  ConvChoice choice = choices[winner->place];
  choice.microseconds = winner->seconds * 1e6;
  return {choice, winner->is_final};
}

std::unique_ptr<ConvPlan> make_plan(const ConvProblem& problem, DevicePlans& known) {
  if (const std::optional<ConvChoice> kept = known.cache.find(problem)) {
    try {
      return std::make_unique<ConvPlan>(problem, *kept, known.target);
    } catch (const DeviceError&) {
      // It was good once; another is chosen.
    }
  }
  const std::vector<ConvChoice> choices = choices_for(problem, known.target);
  std::optional<TriedChoice> tried;
  if (is_autotuning()) {
    try {
      tried = tried_choice(problem, choices, known.target);
    } catch (const DeviceError& error) {
      std::cerr << "fovea: " << problem.str()
                << ": no trial of engines, cuDNN's first is taken: " << error.what() << std::endl;
    }
  }
  const ConvChoice own = tried ? tried->choice : first_choice(problem, choices, known.target);
  if (!own.engine) {
    std::cerr << "fovea: " << problem.str() << ": cuDNN has no engine that serves; it will be slow"
              << std::endl;
  }
  if (!tried || !tried->is_final) return std::make_unique<ConvPlan>(problem, own, known.target);
  return std::make_unique<ConvPlan>(problem, known.cache.add(problem, own), known.target);
}

/// The tensor itself if an engine can take it in this shape, else `scratch`, of that shape.
Tensor taken_as(const Tensor& tensor, const Shape& shape, Tensor& scratch) {
  const auto address = reinterpret_cast<uintptr_t>(tensor.raw());
  if (tensor.shape() == shape && address % cudnn::EnginePlan::kAlignment == 0) return tensor;
  if (!scratch.defined()) scratch = Tensor::empty(shape, tensor.dtype(), tensor.device());
  return scratch;
}

}  // namespace

ConvPlan::ConvPlan(const ConvProblem& problem, const ConvChoice& choice, const cudnn::Target& target)
    : problem_(problem), computed_(choice.is_padded ? problem.padded() : problem) {
  if (choice.engine) engine_.emplace(computed_, *choice.engine, target);
}

void ConvPlan::run(ConvTensors& tensors, ConvScratch& scratch) const {
  if (!engine_) return conv_reference(problem_, tensors);
  const char* operation = operation_of(problem_.pass);
  ConvTensors taken{taken_as(tensors.x, computed_.x(), scratch.x),
                    taken_as(tensors.weight, computed_.weight(), scratch.weight),
                    taken_as(tensors.y, computed_.y(), scratch.y)};
  Tensor &result = tensors.result(problem_.pass), &taken_result = taken.result(problem_.pass);
  for (const auto& [from, to] : {std::pair(&tensors.x, &taken.x), std::pair(&tensors.weight, &taken.weight),
                                 std::pair(&tensors.y, &taken.y)}) {
    if (from != &result && to->raw() != from->raw()) pad_channels(operation, *from, *to);
  }
  if (!scratch.workspace.defined()) {
    scratch.workspace = workspace_of(engine_->workspace_bytes(), result.device());
  }
  engine_->execute(taken.x.raw(), taken.weight.raw(), taken.y.raw(), address_of(scratch.workspace));
  if (taken_result.raw() != result.raw()) pad_channels(operation, taken_result, result);
}

const ConvPlan& plan_for(const ConvProblem& problem) {
  // Never destroyed: cuDNN may be gone before static objects are. Held during a trial, so that another thread
  // neither makes it again nor disturbs the measurement.
  static auto* mutex = new std::mutex;
  static auto* devices = new std::unordered_map<int, DevicePlans>;
  const std::lock_guard lock(*mutex);
  const int device = current_device();
  auto known = devices->find(device);
  if (known != devices->end()) {
    const auto plan = known->second.plans.find(problem);
    if (plan != known->second.plans.end()) return *plan->second;
  }
  check<DeviceError>(
      !is_recording(),
      "no engine is chosen yet, and none can be while a graph is recorded; run it once before");
  if (known == devices->end()) known = devices->try_emplace(device, device).first;
  return *known->second.plans.emplace(problem, make_plan(problem, known->second)).first->second;
}

}  // namespace fovea::kernels::cuda
