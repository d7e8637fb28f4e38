#include "run_plan.h"

#include <fmt/format.h>
#include <algorithm>
#include <cmath>
#include <filesystem>
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

// How long a run takes yet, in seconds.
double estimate(const Settings& settings, const std::string& folder, Dataset dataset) {
  Settings own = settings;
  const ImageSet validation = hold_out_validation(own, dataset.train);
  TrainingSettings training = training_settings(own, dataset.train.size());
  const int64_t batch = std::min(training.batch_size, dataset.train.size());
  const int64_t per_epoch = dataset.train.size() / batch;
  int64_t steps = training.epochs * per_epoch;
  if (training.max_steps > 0) steps = std::min(steps, training.max_steps);
  const double left = static_cast<double>(std::max<int64_t>(0, steps - steps_done(folder)));

  const Device device = prepare_device(own);
  ModelOptions options = own.network;
  options.classes = dataset.train.classes();
  auto model = make_model(own.model, options, training.seed);
  move_to(*model, device);
  Classifier classifier(std::move(model), normalisation_of(dataset.train));
  training.max_steps = kTimedSteps;
  training.hooks.should_stop = should_stop;
  training.hooks.should_interrupt = should_stop;
  const TrainingResult timed = classifier.train(dataset.train.first(kTimedSteps * batch), training);
  if (timed.images_per_second <= 0) return 0;
  const double evaluated = left / static_cast<double>(per_epoch) * static_cast<double>(validation.size()) +
                           static_cast<double>(dataset.test.size());
  return (left * static_cast<double>(batch) + kEvaluationShare * evaluated) / timed.images_per_second;
}

}  // namespace

RunPlan::RunPlan(std::string folder, Arguments arguments, std::vector<PlannedRun> runs)
    : folder_(std::move(folder)),
      arguments_(std::move(arguments)),
      runs_(std::move(runs)),
      failures_(runs_.size()) {
  for (const PlannedRun& run : runs_) {
    for (const auto& [key, value] : run.settings) {
      const bool is_given = std::any_of(arguments_.settings.begin(), arguments_.settings.end(),
                                        [&](const auto& given) { return given.first == key; });
      check<UsageError>(!is_given || key == "seed", arguments_.command, ": --", key,
                        " is what the runs differ in, or what they are; leave it out");
    }
  }
  Settings settings;
  if (!arguments_.config.empty()) apply_toml_file(settings, arguments_.config);
  apply_overrides(settings, arguments_.settings);
  resolve(settings);
  const std::string text = to_toml(settings, Selection::shaping), path = folder_ + "/plan.toml";
  if (std::filesystem::exists(path)) {
    const ReadableFile file(path, "plan", throw_as<Error>);
    std::string before(file.size(), '\0');
    file.read(0, before.data(), before.size());
    check<UsageError>(before == text, arguments_.command, ": ", folder_,
                      " holds runs with other settings, which are in ", path,
                      "; give the same, or choose another folder with --out");
  } else if (!arguments_.dry_run) {
    std::error_code error;
    std::filesystem::create_directories(folder_, error);
    check(!error, arguments_.command, ": cannot make the folder ", folder_, ": ", error.message());
    write_whole(path, text, "plan", throw_as<Error>);
  }
}

Arguments RunPlan::arguments_of(const PlannedRun& run) const {
  Arguments arguments = arguments_;
  arguments.command = "train";
  arguments.resume = arguments.resume_if_any = true;
  arguments.settings.insert(arguments.settings.end(), run.settings.begin(), run.settings.end());
  arguments.settings.emplace_back("out", folder_of(run));
  return arguments;
}

std::string RunPlan::describe() {
  std::string text;
  double sum = 0;
  Dataset dataset;
  for (const PlannedRun& run : runs_) {
    if (RunFolder(folder_of(run)).is_finished()) {
      text += fmt::format("  {:<36} done\n", run.name);
      continue;
    }
    const Arguments arguments = arguments_of(run);
    Settings settings;
    if (!arguments.config.empty()) apply_toml_file(settings, arguments.config);
    apply_overrides(settings, arguments.settings);
    resolve(settings);
    check_consistent(settings);
    dataset = load_images(settings);
    const double seconds = estimate(settings, folder_of(run), dataset);
    throw_if_stopped("timing the first steps");
    text += fmt::format("  {:<36} about {}\n", run.name, duration_text(seconds));
    sum += seconds;
  }
  return text + fmt::format("{} run{} in {}, about {} in all\n", runs_.size(), runs_.size() == 1 ? "" : "s",
                            folder_, duration_text(sum));
}

int RunPlan::train_one(size_t number) {
  const PlannedRun& run = runs_[number];
  if (RunFolder(folder_of(run)).is_finished()) return 0;
  show(fmt::format("run {} of {}: {}\n", number + 1, runs_.size(), run.name));
  try {
    return train(arguments_of(run));
  } catch (const Error& error) {
    // What a network does that cannot be trained so is a result; anything else ends the plan.
    if (typeid(error) != typeid(Error)) throw;
    failures_[number] = error.what();
    show(fmt::format("{}: {}\n", run.name, error.what()));
    return 0;
  }
}

RunOutcome RunPlan::outcome(size_t run) const {
  return {RunFolder(folder_of(runs_[run])).test_accuracy(), failures_[run]};
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
