#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "fovea/kernels/conv_choices.h"
#include "fovea/kernels/cuda/conv/cache.h"
#include "fovea/kernels/cuda/conv/trial.h"

namespace fovea::kernels::cuda {

/// Memory that a plan needs while it runs. It may be handed to the same plan again, and spares it the
/// allocations then; what was recorded with it needs it as long as it is replayed.
struct ConvScratch {
  Tensor x, weight, y, workspace;
};

/// A convolution made ready: computes its result on the current stream.
using ConvPlan = std::function<void(ConvTensors&, ConvScratch&)>;

/// What computes convolutions on a device.
struct ConvLibrary {
  std::string name, device;  // "cuDNN 9.19.0", "NVIDIA H100 80GB HBM3": choices hold for these
  /// What is worth a trial, in the order in which it is tried; an engine each.
  std::function<std::vector<ConvChoice>(const ConvKey&)> proposals;
  /// DeviceError if it cannot build the engine of a choice.
  std::function<ConvPlan(const ConvKey&, const ConvChoice&)> build;
};

/// The plans for the convolutions of a device, each made at its first use. One thread at a time, on that
/// device.
class ConvPlans {
 public:
  /// Choices are kept in `cache_folder`, nowhere if it is "". Without a stopwatch, engines are not timed.
  ConvPlans(ConvLibrary library, Device device, const std::string& cache_folder, Stopwatch seconds_of = {});

  /// Convolutions whose plans are kept, for one who counts; the least recently used goes, but not one that
  /// was used while a graph was recorded: the graph may have its kernels.
  static constexpr size_t kMostProblems = 1024;
  size_t problems() const { return entries_.size(); }

  /// The plan for a convolution, whose engine has been run here before: the one that the run of this thread
  /// has chosen (see ConvChoicesScope), or else the one that this process or the cache has, or else the
  /// fastest of the library's proposals that give the right numbers; without a stopwatch, or where no trial
  /// is possible, the first that does. The reference serves where none is left. DeviceError if an engine
  /// would have to be chosen while a graph is recorded.
  std::shared_ptr<const ConvPlan> plan_for(const ConvKey& problem);

  /// DeviceError if a graph is recorded, in which nothing can be tried.
  static void check_can_choose();

 private:
  struct Made {
    std::string choice;  // its text
    std::shared_ptr<ConvPlan> plan;
  };
  /// What is kept of a problem.
  struct Entry {
    std::vector<std::unique_ptr<Made>> made;
    const Made* own = nullptr;    // by this process or the cache
    const Made* known = nullptr;  // for the run below
    uint64_t known_id = 0;        // of that run's ConvChoicesScope; 0 for none
    uint64_t used = 0;            // when
    bool is_recorded = false;     // in a graph, perhaps
  };
  struct Selection {
    ConvChoice choice;
    bool is_final = false;  // worth keeping
  };
  struct Hash {
    size_t operator()(const ConvKey& problem) const { return problem.hash(); }
  };
  Entry& entry_of(const ConvKey& problem);
  void drop_least_recently_used();
  const Made& own(const ConvKey& problem, Entry& entry);
  const Made* of_run(const ConvKey& problem, Entry& entry, ConvChoicesScope& run);
  const Made& make(const ConvKey& problem, Entry& entry, const ConvChoice& choice);
  const Made* tested(const ConvKey& problem, Entry& entry, const ConvChoice& choice);
  Selection select(const ConvKey& problem) const;
  ConvPlan build(const ConvKey& problem, const ConvChoice& choice) const;
  std::string name_of(const ConvChoice& choice) const;

  ConvLibrary library_;
  Device device_;
  ConvCache cache_;
  Stopwatch seconds_of_;
  std::unordered_map<ConvKey, Entry, Hash> entries_;
  uint64_t uses_ = 0;
};

}  // namespace fovea::kernels::cuda
