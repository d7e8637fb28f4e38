#pragma once

#include <string>

#include "fovea/core/device.h"
#include "fovea/core/ranks.h"

/// A run of several ranks: the first one reads and writes the run's folder, as a run alone does; the others
/// compute their shares.
namespace fovea::cli {

/// What the first rank settles for all of them.
struct SettledRun {
  std::string settings;          // TOML; "": there is nothing to train
  std::string checkpoint, init;  // files: where the run goes on from, whose weights it takes; "": none
};
/// By the first rank: tells the others.
void tell_ranks(Ranks& ranks, const SettledRun& run);
/// Waits until all of them are here: the others have read then what they were told of.
void wait_for_ranks(Ranks& ranks);
/// Gives each rank its part of the machine's processors, among those that the launcher has bound it to, where
/// no number of threads was set. UsageError for a device that ranks cannot train on.
void prepare_rank(const Ranks& ranks, Device device, bool sets_threads);
/// train, of any other rank: writes nothing.
int train_as_other_rank(Ranks& ranks);

}  // namespace fovea::cli
