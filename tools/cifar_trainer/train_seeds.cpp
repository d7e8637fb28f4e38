#include <fmt/format.h>

#include "commands.h"
#include "fovea/core/atomic_file.h"
#include "fovea/core/check.h"
#include "output.h"
#include "recipes.h"
#include "run_plan.h"
#include "run_ranks.h"
#include "setup.h"

namespace fovea::cli {

int train_seeds(const Arguments& given) {
  check_started_alone("train --seeds");
  check<UsageError>(
      given.checkpoint.empty() && given.init.empty() && !given.overwrite && given.profile_steps == 0,
      "train: --seeds goes with neither --resume FILE, --init, --overwrite nor --profile; "
      "the same command goes on where it was");
  Arguments arguments = given;
  if (!given.config.empty()) arguments.config = settings_file_of(given.config);
  const Settings settings = new_settings(arguments);
  std::vector<PlannedRun> runs;
  for (const std::string& seed : seeds_of(arguments)) runs.push_back({"seed-" + seed, {{"seed", seed}}});
  RunPlan plan("train --seeds", settings.out, arguments, runs);
  if (arguments.dry_run) {
    plan.check_all();
    return 0;
  }
  std::vector<double> accuracies;
  if (const int code = plan.train_all([] {}); code != 0) return code;
  for (size_t i = 0; i < runs.size(); ++i) {
    const RunOutcome& outcome = plan.outcome(i);
    check(outcome.test_accuracy.has_value(), "train: the run with ", runs[i].name,
          " failed: ", outcome.failure);
    accuracies.push_back(100 * *outcome.test_accuracy);
  }
  const Spread spread = spread_of(accuracies);
  std::string csv = "run,test_accuracy\n";
  for (size_t i = 0; i < runs.size(); ++i) csv += fmt::format("{},{:.4f}\n", runs[i].name, accuracies[i]);
  write_whole(settings.out + "/seeds.csv", csv, "train", throw_as<Error>);
  show(fmt::format("test accuracy {:.2f}% ± {:.2f} (mean and deviation of {} seeds); each in {}\n",
                   spread.mean, spread.deviation, spread.count, settings.out + "/seeds.csv"));
  return 0;
}

}  // namespace fovea::cli
