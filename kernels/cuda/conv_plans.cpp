#include "fovea/kernels/cuda/conv_plans.h"

#include <algorithm>
#include <iostream>
#include <optional>
#include <utility>

#include "fovea/core/check.h"
#include "fovea/core/cuda/runtime.h"
#include "fovea/kernels/cuda/conv_reference.h"

namespace fovea::kernels::cuda {
namespace {

constexpr size_t kTried = 16;  // engines that are timed for a convolution

template <class... Parts>
void say(const ConvProblem& problem, const Parts&... parts) {
  std::cerr << "fovea: " << problem.str() << ": " << str(parts...) << std::endl;
}

}  // namespace

ConvPlans::ConvPlans(ConvLibrary library, Device device, const std::string& cache_folder,
                     Stopwatch seconds_of)
    : library_(std::move(library)),
      device_(device),
      cache_(cache_folder, library_.name, library_.device),
      seconds_of_(std::move(seconds_of)) {}

void ConvPlans::check_can_choose() {
  check<DeviceError>(
      !fovea::cuda::is_recording(),
      "no engine is chosen yet, and none can be while a graph is recorded; run it once before");
}

const ConvPlan& ConvPlans::plan_for(const ConvProblem& problem) {
  ConvChoicesScope* run = ConvChoicesScope::current();
  const uint64_t id = run == nullptr ? 0 : run->id();
  if (std::exchange(known_id_, id) != id) known_.clear();
  if (const auto known = known_.find(problem); known != known_.end()) return known->second->plan;
  const Made* made = run == nullptr ? nullptr : of_run(problem, *run);
  if (made == nullptr) made = &own(problem);
  if (run != nullptr) run->note(library_.name + " on " + library_.device, problem.str(), made->choice);
  known_.emplace(problem, made);
  return made->plan;
}

/// The plan for what the run has chosen; null if it has not, or if that cannot be used here.
const ConvPlans::Made* ConvPlans::of_run(const ConvProblem& problem, ConvChoicesScope& run) {
  const std::string text = run.find(library_.name + " on " + library_.device, problem.str());
  if (text.empty()) return nullptr;
  const std::optional<ConvChoice> choice = choice_from(text);
  const Made* made = choice ? tested(problem, *choice) : nullptr;
  if (made == nullptr) {
    say(problem, "what the run was computed by until now cannot be used (", text,
        "): another engine is chosen, and the run's bits may differ");
  }
  return made;
}

/// The plan for what this process has chosen, or the cache.
const ConvPlans::Made& ConvPlans::own(const ConvProblem& problem) {
  if (const auto found = own_.find(problem); found != own_.end()) return *found->second;
  check_can_choose();
  const std::optional<ConvChoice> kept = cache_.find(problem);
  const Made* made = kept ? tested(problem, *kept) : nullptr;
  if (made == nullptr) {
    const Selection selection = select(problem);
    if (!selection.choice.engine) say(problem, library_.name, " has no engine that serves; it will be slow");
    if (selection.is_final) {
      const ConvChoice first = cache_.add(problem, selection.choice);
      if (!(first == selection.choice)) made = tested(problem, first);  // another process's
    }
    if (made == nullptr) made = &make(problem, selection.choice);
  }
  own_.emplace(problem, made);
  return *made;
}

/// The plan for a choice.
const ConvPlans::Made& ConvPlans::make(const ConvProblem& problem, const ConvChoice& choice) {
  const std::string text = text_of(choice);
  std::vector<std::unique_ptr<Made>>& all = made_[problem];
  for (const std::unique_ptr<Made>& made : all) {
    if (made->choice == text) return *made;
  }
  all.push_back(std::make_unique<Made>(Made{text, build(problem, choice)}));
  return *all.back();
}

/// The plan for a choice that was made some time ago, which gave the right numbers then; null if it cannot be
/// built or run today.
const ConvPlans::Made* ConvPlans::tested(const ConvProblem& problem, const ConvChoice& choice) {
  const std::string text = text_of(choice);
  for (const std::unique_ptr<Made>& made : made_[problem]) {
    if (made->choice == text) return made.get();
  }
  check_can_choose();
  auto made = std::make_unique<Made>(Made{text, {}});
  try {
    made->plan = build(problem, choice);
    ConvScratch scratch;
    const auto run = [&](ConvTensors& tensors) { made->plan(tensors, scratch); };
    if (!can_run(problem, device_, {name_of(choice), run})) return nullptr;
  } catch (const DeviceLost&) {
    throw;
  } catch (const NoMemoryForTrial&) {
    // There is none for a test; there may be enough for the convolution itself.
  } catch (const OutOfMemory&) {
    throw;
  } catch (const DeviceError&) {
    return nullptr;  // it cannot be built
  }
  return made_[problem].emplace_back(std::move(made)).get();
}

/// The best of the library's proposals.
ConvPlans::Selection ConvPlans::select(const ConvProblem& problem) const {
  const std::vector<ConvChoice> choices = library_.proposals(problem);
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
                              running.emplace(Running{place, build(problem, choices[place]), {}});
                            }
                            running->plan(tensors, running->scratch);
                          }});
  }
  if (seconds_of_) {
    try {
      const auto winner = fastest_candidate(problem, device_, candidates, kTried, seconds_of_);
      if (winner) {
        ConvChoice choice = choices[winner->place];
        choice.microseconds = winner->seconds * 1e6;
        return {choice, winner->is_final};
      }
      // None is right, or none can be timed.
    } catch (const DeviceLost&) {
      throw;
    } catch (const DeviceError& error) {
      say(problem, "no trial of engines, the first that is right is taken: ", error.what());
    }
    running.reset();
  }
  try {
    const std::optional<size_t> first = first_right_candidate(problem, device_, candidates);
    return first ? Selection{choices[*first]} : Selection{};
  } catch (const NoMemoryForTrial& error) {
    say(problem, "the first engine that can be built is taken, unchecked: ", error.what());
  }
  running.reset();
  for (const ConvChoice& choice : choices) {
    try {
      build(problem, choice);
      return {choice};
    } catch (const DeviceLost&) {
      throw;
    } catch (const DeviceError&) {
      // The next, then.
    }
  }
  return {};
}

ConvPlan ConvPlans::build(const ConvProblem& problem, const ConvChoice& choice) const {
  if (choice.engine) return library_.build(problem, choice);
  return [problem](ConvTensors& tensors, ConvScratch&) { conv_reference(problem, tensors); };
}

/// "engine 62 (2=4 13=0) of cuDNN 9.19.0 with padded channels"
std::string ConvPlans::name_of(const ConvChoice& choice) const {
  if (!choice.engine) return "the reference";
  std::string settings;
  for (const auto& [type, value] : choice.engine->knobs) {
    settings += str(settings.empty() ? " (" : " ", type, "=", value);
  }
  if (!settings.empty()) settings += ")";
  return str("engine ", choice.engine->index, settings, " of ", library_.name,
             choice.is_padded ? " with padded channels" : "");
}

}  // namespace fovea::kernels::cuda
