#include "run_plan.h"

#include <fmt/format.h>
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <utility>

#include "commands.h"
#include "fovea/core/atomic_file.h"
#include "fovea/core/check.h"
#include "output.h"
#include "progress.h"
#include "run_folder.h"
#include "setup.h"
#include "signals.h"

namespace fovea::cli {
namespace {

// An image that is only evaluated, beside one that is trained with.
constexpr double kEvaluationShare = 0.3;
constexpr int64_t kTimedSteps = 4;

// How far a run has come, as steps.
int64_t steps_done(const std::string& folder) {
  const RunFolder run(folder);
  return std::filesystem::exists(run.last()) ? read_checkpoint(run.last()).progress.step : 0;
}

// How long a run takes yet, in seconds; `validation` was held out of `train`.
double estimate(const Settings& settings, const std::string& folder, const ImageSet& train,
                const ImageSet& validation, const ImageSet& test) {
  TrainingSettings training = training_settings(settings, train.size());
  const int64_t batch = std::min(training.batch_size, train.size());
  const int64_t per_epoch = train.size() / batch;
  int64_t steps = training.epochs * per_epoch;
  if (training.max_steps > 0) steps = std::min(steps, training.max_steps);
  const double left = static_cast<double>(std::max<int64_t>(0, steps - steps_done(folder)));

  const Device device = prepare_device(settings);
  auto model = make_network(settings, train.classes(), training.seed);
  move_to(*model, device);
  const ImageSet timed_images = train.first(kTimedSteps * batch);
  Classifier classifier(std::move(model), normalisation_of(timed_images));
  training.max_steps = kTimedSteps;
  training.hooks.should_stop = should_stop;
  training.hooks.should_interrupt = should_stop;
  const TrainingResult timed = classifier.train(timed_images, training);
  if (timed.images_per_second <= 0) return 0;
  const double evaluated = left / static_cast<double>(per_epoch) * static_cast<double>(validation.size()) +
                           static_cast<double>(test.size());
  return (left * static_cast<double>(batch) + kEvaluationShare * evaluated) / timed.images_per_second;
}

}  // namespace

std::vector<std::string> seeds_of(const Arguments& arguments) {
  const uint64_t first = new_settings(arguments).training.seed;
  const auto most = static_cast<uint64_t>(std::numeric_limits<int64_t>::max() - arguments.seeds);
  check<UsageError>(first <= most, arguments.command, ": --seed is ", first, ", wanted at most ", most,
                    " for ", arguments.seeds, " seeds");
  std::vector<std::string> seeds;
  for (int64_t i = 0; i < arguments.seeds; ++i)
    seeds.push_back(std::to_string(first + static_cast<uint64_t>(i)));
  return seeds;
}

RunPlan::RunPlan(const std::string& name, std::string folder, Arguments arguments,
                 std::vector<PlannedRun> runs)
    : folder_(std::move(folder)), arguments_(std::move(arguments)), runs_(std::move(runs)) {
  bool holds_runs = false;
  for (const PlannedRun& run : runs_) {
    holds_runs = holds_runs || RunFolder(folder_of(run)).holds_run();
    for (const auto& [key, value] : run.settings) {
      check<UsageError>(!is_given(arguments_.settings, key) || key == "seed", arguments_.command, ": --", key,
                        " is given, and ", run.name, " is the run with ", key, " ", value, "; leave it out");
    }
  }
  const std::string path = folder_ + "/plan.toml", heading = "# " + name + "\n";
  if (std::filesystem::exists(path)) {
    const ReadableFile file(path, "plan", throw_as<Error>);
    std::string before(std::min(file.size(), heading.size()), '\0');
    file.read(0, before.data(), before.size());
    check<UsageError>(before == heading, arguments_.command, ": ", folder_,
                      " holds the runs of another command than ", name, "; choose another folder with --out");
  }
  for (const PlannedRun& run : runs_) outcomes_.push_back(find_outcome(run));
  if (arguments_.dry_run || (holds_runs && std::filesystem::exists(path))) return;
  std::error_code error;
  std::filesystem::create_directories(folder_, error);
  check(!error, arguments_.command, ": cannot make the folder ", folder_, ": ", error.message());
  write_whole(path, heading + to_toml(new_settings(arguments_), Selection::shaping), "plan", throw_as<Error>);
}

Arguments RunPlan::arguments_of(const PlannedRun& run) const {
  Arguments arguments = arguments_;
  arguments.command = "train";
  arguments.resume = arguments.resume_if_any = arguments.is_planned = true;
  arguments.settings.insert(arguments.settings.end(), run.settings.begin(), run.settings.end());
  arguments.settings.emplace_back("out", folder_of(run));
  return arguments;
}

std::string RunPlan::describe() {
  std::string text;
  double sum = 0;
  std::optional<Dataset> dataset;  // the same for all, but for a seed
  ImageSet validation;
  for (size_t i = 0; i < runs_.size(); ++i) {
    const PlannedRun& run = runs_[i];
    if (outcome(i).test_accuracy) {
      text += fmt::format("  {:<36} done\n", run.name);
      continue;
    }
    Settings settings = new_settings(arguments_of(run));
    check_consistent(settings);
    if (!dataset) {
      dataset = load_images(settings);
      validation = hold_out_validation(settings, *dataset);
    }
    double seconds = 0;
    try {
      seconds = estimate(settings, folder_of(run), dataset->train, validation, dataset->test);
    } catch (const DivergedError& error) {  // which the run itself will tell
      text += fmt::format("  {:<36} no estimate: {}\n", run.name, error.what());
      continue;
    }
    throw_if_stopped("timing the first steps");
    text += fmt::format("  {:<36} about {}\n", run.name, duration_text(seconds));
    sum += seconds;
  }
  return text + fmt::format("{} run{} in {}, about {} in all\n", runs_.size(), runs_.size() == 1 ? "" : "s",
                            folder_, duration_text(sum));
}

/// What came of a run, if it is at its end; UsageError if it has other settings than it is to have.
RunOutcome RunPlan::find_outcome(const PlannedRun& run) const {
  const RunFolder folder(folder_of(run));
  const RunOutcome outcome{folder.test_accuracy()};
  if (!outcome.test_accuracy) return outcome;
  const Settings found = settings_of(read_checkpoint(folder.last()));
  Settings wanted = new_settings(arguments_of(run));
  if (!wanted.validation) wanted.validation = found.validation;
  check_resumable(found, wanted);
  return outcome;
}

void RunPlan::check_all() const {
  for (const PlannedRun& run : runs_) {
    Arguments arguments = arguments_of(run);
    arguments.dry_run = true;
    train(arguments);
  }
}

int RunPlan::train_one(size_t number) {
  const PlannedRun& run = runs_[number];
  RunOutcome& outcome = outcomes_[number];
  if (outcome.test_accuracy) return 0;
  show(fmt::format("run {} of {}: {}\n", number + 1, runs_.size(), run.name));
  try {
    const int code = train(arguments_of(run));
    outcome.test_accuracy = RunFolder(folder_of(run)).test_accuracy();
    return code;
  } catch (const DivergedError& error) {  // a result, too; anything else ends the plan
    outcome.failure = error.what();
    show(fmt::format("{}: {}\n", run.name, error.what()));
    return 0;
  }
}

Spread spread_of(const std::vector<double>& values) {
  Spread spread{.count = std::ssize(values)};
  for (const double value : values) spread.mean += value / static_cast<double>(values.size());
  for (const double value : values) spread.deviation += (value - spread.mean) * (value - spread.mean);
  spread.deviation =
      spread.count > 1 ? std::sqrt(spread.deviation / static_cast<double>(spread.count - 1)) : 0;
  return spread;
}

}  // namespace fovea::cli
