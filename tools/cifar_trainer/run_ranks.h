#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "fovea/core/device.h"
#include "fovea/core/ranks.h"
#include "run_network.h"
#include "started_ranks.h"

/// A run of several ranks: the first one reads and writes the run's folder, as a run alone does; the others
/// compute their shares.
namespace fovea::cli {

/// UsageError, which begins with `command`, where a launcher has started several processes: for what several
/// cannot do together.
void check_started_alone(const char* command);

/// What the first rank settles for all of them.
struct SettledRun {
  std::string settings;          // TOML; "": there is nothing to train
  std::string checkpoint, init;  // files: where the run goes on from, whose weights it takes; "": none
  int64_t profile_steps = 0;     // which run one by one, and so on all ranks
};
/// By the first rank: tells the others.
void tell_ranks(Ranks& ranks, const SettledRun& run);
/// What is wrong, of the first rank that differs, where the ranks do not all have the same program, kernels,
/// images and weights to begin with, by their SHA-256; "" where they have. All ranks get the same text.
std::string difference_of_ranks(Ranks& ranks, const RunImages& images,
                                const std::vector<NamedTensor>& weights);
/// prepare_device(), and of several CUDA devices that of this rank.
Device device_of_rank(const StartedRanks& started, const Settings& settings);
/// Gives each rank its part of the machine's processors, among those that the launcher has bound it to, where
/// no number of threads was set.
void share_processors(bool sets_threads);
/// train, of any other rank: writes nothing.
int train_as_other_rank(StartedRanks& started);

}  // namespace fovea::cli
