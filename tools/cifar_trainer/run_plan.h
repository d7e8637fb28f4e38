#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "command_line.h"

namespace fovea::cli {

/// One of several training runs in a folder.
struct PlannedRun {
  std::string name;    // of its folder, within that of the plan
  Overrides settings;  // seed included: what makes it differ from the others
};

/// What came of one.
struct RunOutcome {
  std::optional<double> test_accuracy;  // none: not at its end yet
  std::string failure{};                // of a run that cannot be done: its message
};

/// Several training runs, one after the other, each in a folder of its own within `folder`, all with the
/// flags and the settings file of `arguments`. Who does it again goes on where it was: runs that are done
/// stay, one that was cut off is resumed.
class RunPlan {
 public:
  /// `name`: of what they are the runs. UsageError where a flag is what the runs differ in, or where the
  /// folder has runs of another name, as its plan.toml says, or with other settings.
  RunPlan(const std::string& name, std::string folder, Arguments arguments, std::vector<PlannedRun> runs);

  /// A line for each run, with the time it takes yet by the speed of its first steps, and that of all.
  std::string describe();
  /// Throws what is wrong with the settings, a folder or the device; trains nothing.
  void check_all() const;
  /// Trains what is left. 0, or the exit code of a stop; calls `on_end` after each run.
  template <class OnEnd>
  int train_all(const OnEnd& on_end) {
    for (size_t i = 0; i < runs_.size(); ++i) {
      if (const int code = train_one(i); code != 0) return code;
      on_end();
    }
    return 0;
  }
  const RunOutcome& outcome(size_t run) const { return outcomes_[run]; }

 private:
  Arguments arguments_of(const PlannedRun& run) const;
  std::string folder_of(const PlannedRun& run) const { return folder_ + "/" + run.name; }
  RunOutcome find_outcome(const PlannedRun& run) const;
  int train_one(size_t run);

  std::string folder_;
  Arguments arguments_;
  std::vector<PlannedRun> runs_;
  std::vector<RunOutcome> outcomes_;  // as runs_
};

/// The seeds of --seeds, from --seed on. UsageError where there are not so many.
std::vector<std::string> seeds_of(const Arguments& arguments);

/// Mean and deviation of test accuracies, in percent.
struct Spread {
  double mean = 0, deviation = 0;  // of the sample: 0 for one
  int64_t count = 0;
};
Spread spread_of(const std::vector<double>& values);

}  // namespace fovea::cli
