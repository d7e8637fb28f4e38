#include "fovea/kernels/cuda/conv/plans.h"

#include <algorithm>
#include <iostream>
#include <optional>
#include <utility>

#include "fovea/core/captured_graph.h"
#include "fovea/core/check.h"
#include "fovea/core/cuda/runtime.h"
#include "fovea/kernels/cuda/conv/reference.h"

namespace fovea::kernels::cuda {
namespace {

constexpr size_t kTried = 16;  // engines that are timed for a convolution

template <class... Parts>
void say(const ConvKey& problem, const Parts&... parts) {
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

std::shared_ptr<const ConvPlan> ConvPlans::plan_for(const ConvKey& problem) {
  ConvChoicesScope* run = ConvChoicesScope::current();
  const uint64_t id = run == nullptr ? 0 : run->id();
  Entry& entry = entry_of(problem);
  if (entry.known == nullptr || entry.known_id != id) {
    const Made* made = run == nullptr ? nullptr : of_run(problem, entry, *run);
    if (made == nullptr) made = &own(problem, entry);
    if (run != nullptr) run->note(library_.name + " on " + library_.device, problem.str(), made->choice);
    entry.known = made;
    entry.known_id = id;
  }
  return entry.known->plan;
}

/// What is kept of a problem, which is used now.
ConvPlans::Entry& ConvPlans::entry_of(const ConvKey& problem) {
  auto found = entries_.find(problem);
  if (found == entries_.end()) {
    if (entries_.size() >= kMostProblems) drop_least_recently_used();
    found = entries_.try_emplace(problem).first;
  }
  found->second.used = ++uses_;
  if (fovea::cuda::is_recording()) found->second.is_recorded = true;
  return found->second;
}

void ConvPlans::drop_least_recently_used() {
  if (fovea::cuda::is_recording()) return;  // nothing can be made now anyway
  auto oldest = entries_.end();
  for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
    if (entry->second.is_recorded) continue;
    if (oldest == entries_.end() || entry->second.used < oldest->second.used) oldest = entry;
  }
  if (oldest == entries_.end()) return;
  synchronize(device_);  // its kernels may be running still
  entries_.erase(oldest);
}

/// The plan for what the run has chosen; null if it has not, or if that cannot be used here.
const ConvPlans::Made* ConvPlans::of_run(const ConvKey& problem, Entry& entry, ConvChoicesScope& run) {
  const std::string text = run.find(library_.name + " on " + library_.device, problem.str());
  if (text.empty()) return nullptr;
  const std::optional<ConvChoice> choice = choice_from(text);
  const Made* made = choice ? tested(problem, entry, *choice) : nullptr;
  if (made == nullptr) {
    say(problem, "what the run was computed by until now cannot be used (", text,
        "): another engine is chosen, and the run's bits may differ");
  }
  return made;
}

/// The plan for what this process has chosen, or the cache.
const ConvPlans::Made& ConvPlans::own(const ConvKey& problem, Entry& entry) {
  if (entry.own != nullptr) return *entry.own;
  check_can_choose();
  const std::optional<ConvChoice> kept = cache_.find(problem);
  const Made* made = kept ? tested(problem, entry, *kept) : nullptr;
  if (made == nullptr) {
    const Selection selection = select(problem);
    if (!selection.choice.engine) say(problem, library_.name, " has no engine that serves; it will be slow");
    if (selection.is_final) {
      const ConvChoice first = cache_.add(problem, selection.choice);
      if (!(first == selection.choice)) made = tested(problem, entry, first);  // another process's
    }
    if (made == nullptr) made = &make(problem, entry, selection.choice);
  }
  entry.own = made;
  return *made;
}

/// The plan for a choice.
const ConvPlans::Made& ConvPlans::make(const ConvKey& problem, Entry& entry, const ConvChoice& choice) {
  const std::string text = text_of(choice);
  for (const std::unique_ptr<Made>& made : entry.made) {
    if (made->choice == text) return *made;
  }
  entry.made.push_back(
      std::make_unique<Made>(Made{text, std::make_shared<ConvPlan>(build(problem, choice))}));
  return *entry.made.back();
}

/// The plan for a choice that was made some time ago, which gave the right numbers then; null if it cannot be
/// built or run today.
const ConvPlans::Made* ConvPlans::tested(const ConvKey& problem, Entry& entry, const ConvChoice& choice) {
  const std::string text = text_of(choice);
  for (const std::unique_ptr<Made>& made : entry.made) {
    if (made->choice == text) return made.get();
  }
  check_can_choose();
  auto made = std::make_unique<Made>(Made{text, std::make_shared<ConvPlan>()});
  try {
    *made->plan = build(problem, choice);
    ConvScratch scratch;
    const auto run = [&](ConvTensors& tensors) { (*made->plan)(tensors, scratch); };
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
  return entry.made.emplace_back(std::move(made)).get();
}

/// The best of the library's proposals.
ConvPlans::Selection ConvPlans::select(const ConvKey& problem) const {
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

ConvPlan ConvPlans::build(const ConvKey& problem, const ConvChoice& choice) const {
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
