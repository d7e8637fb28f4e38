#include <fmt/format.h>
#include <chrono>
#include <filesystem>

#include "commands.h"
#include "folder_lock.h"
#include "fovea/core/allocator.h"
#include "fovea/core/check.h"
#include "fovea/core/parallel_for.h"
#include "fovea/training/device_speed.h"
#include "output.h"
#include "profile.h"
#include "progress.h"
#include "reports.h"
#include "run_folder.h"
#include "setup.h"
#include "signals.h"

namespace fovea::cli {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

void apply_arguments(Settings& settings, const Arguments& arguments) {
  if (!arguments.config.empty()) apply_toml_file(settings, arguments.config);
  apply_overrides(settings, arguments.settings);
}

// Settings of a new run: defaults, then the file, then the flags.
Settings new_settings(const Arguments& arguments) {
  Settings settings;
  apply_arguments(settings, arguments);
  resolve(settings);
  return settings;
}

// Where a run goes on from, and where: in the folder of the file after --resume, or in --out.
struct Place {
  std::string checkpoint;  // a file; "": a new run
  std::string out;
};

Place place_of(const Arguments& arguments) {
  namespace fs = std::filesystem;
  Place place{arguments.checkpoint, new_settings(arguments).out};
  if (!arguments.resume) return place;
  if (place.checkpoint.empty()) place.checkpoint = RunFolder(place.out).last();
  std::error_code ignored;
  if (fs::is_directory(place.checkpoint, ignored)) place.checkpoint = RunFolder(place.checkpoint).last();
  Settings named;
  apply_arguments(named, arguments);
  if (arguments.checkpoint.empty() || !named.out.empty()) return place;
  const fs::path folder = fs::path(place.checkpoint).parent_path();
  place.out = folder.empty() ? "." : folder.string();
  return place;
}

bool is_within(const std::string& file, const std::string& folder) {
  std::error_code ignored;
  return std::filesystem::equivalent(std::filesystem::absolute(file).parent_path(), folder, ignored);
}

// The settings file of a run to be continued. Its checkpoint has all that shapes the result, so that a file
// that a power loss has emptied stands in no way. One that says something wrong was edited, and is an error.
void apply_saved_settings(Settings& settings, const std::string& path) {
  try {
    std::error_code ignored;
    check<UnreadableSettings>(std::filesystem::file_size(path, ignored) != 0, "settings: ", path,
                              " is empty");
    apply_toml_file(settings, path);
  } catch (const UnreadableSettings& error) {
    show(
        fmt::format("{}\ngoing on with the settings in the checkpoint, and the defaults of data, device, "
                    "threads and save-every; {} is written anew\n",
                    error.what(), path));
  }
}

struct Start {
  Settings settings;
  std::optional<Checkpoint> checkpoint;  // where the run goes on from
};

// Settings of a run to be continued: its own, then the file, then the flags, which may change only what does
// not shape the result.
Start start_from_checkpoint(const Arguments& arguments, const Place& place) {
  const std::string& path = place.checkpoint;
  check<UsageError>(!RunFolder(place.out).holds_run() || is_within(path, place.out), "resume: ", path,
                    " is to be continued in ", place.out,
                    ", which holds another run; choose another folder with --out");
  Start start;
  start.checkpoint = read_checkpoint(path);
  const Settings saved = settings_of(*start.checkpoint);
  const RunFolder source(std::filesystem::path(path).parent_path().string());
  if (std::filesystem::exists(source.settings())) apply_saved_settings(start.settings, source.settings());
  apply_toml(start.settings, to_toml(saved, Selection::shaping), path);
  apply_arguments(start.settings, arguments);
  start.settings.out = place.out;
  resolve(start.settings);
  check_resumable(saved, start.settings);
  return start;
}

// The start of a run in a folder that no other process can change any more.
Start start_in(const RunFolder& folder, const Arguments& arguments, Place& place) {
  if (!arguments.resume) folder.check_free(arguments.overwrite);
  if (arguments.resume_if_any && !std::filesystem::exists(place.checkpoint)) {
    // A run that was cut off after its first epoch may have the best checkpoint only. What one leaves that
    // was cut off before its first save is nothing to go on from.
    place.checkpoint = std::filesystem::exists(folder.best()) ? folder.best() : "";
  }
  if (place.checkpoint.empty()) return {new_settings(arguments), std::nullopt};
  return start_from_checkpoint(arguments, place);
}

// Writes down and shows how a run goes on.
class Recorder {
 public:
  Recorder(const Settings& settings, const RunFolder& folder, Classifier& classifier, double seconds_before)
      : settings_(settings), folder_(folder), classifier_(classifier), seconds_before_(seconds_before) {}

  TrainingHooks hooks() {
    return {.on_step = [this](const StepReport& report) { on_step(report); },
            .on_epoch = [this](const EpochReport& report) { on_epoch(report); },
            .on_validation = [this](int64_t done,
                                    int64_t total) { progress_.count("testing", "images", done, total); },
            .should_stop = should_stop};
  }

  void finish(const TrainingResult& result) {
    classifier_.save(folder_.last());
    const bool has_part = classifier_.checkpoint().progress.batch > 0;  // of an epoch
    if (result.reason != StopReason::max_steps || !has_part) return;
    if (result.validation && (result.best_epoch == 0 || result.validation->accuracy > result.best_accuracy)) {
      classifier_.save(folder_.best());
    }
    folder_.append({.epoch = result.epochs + 1,
                    .step = result.steps,
                    .learning_rate = learning_rate_,
                    .train_loss = result.train_loss,
                    .train_accuracy = result.train_accuracy,
                    .test = result.validation,
                    .images_per_second = result.images_per_second,
                    .seconds = seconds()});
  }

  double seconds() const { return seconds_before_ + seconds_since(begin_); }
  Progress& progress() { return progress_; }

 private:
  void on_step(const StepReport& report) {
    learning_rate_ = report.learning_rate;
    progress_.step(report, settings_.batch_size);
    if (settings_.save_every > 0 && report.step % settings_.save_every == 0) classifier_.save(folder_.last());
  }

  // The row comes before the checkpoint: a run that is cut off in between drops the row when it is resumed.
  void on_epoch(const EpochReport& report) {
    progress_.epoch(report);
    if (report.is_best || !report.validation) classifier_.save(folder_.best());
    folder_.append({.epoch = report.epoch,
                    .step = report.step,
                    .learning_rate = report.learning_rate,
                    .train_loss = report.train_loss,
                    .train_accuracy = report.train_accuracy,
                    .test = report.validation,
                    .images_per_second = report.images_per_second,
                    .seconds = seconds()});
    classifier_.save(folder_.last());
  }

  const Settings& settings_;
  const RunFolder& folder_;
  Classifier& classifier_;
  Progress progress_;
  double seconds_before_;
  double learning_rate_ = 0;
  Clock::time_point begin_ = Clock::now();
};

RunSummary summarise_run(const Settings& settings, const Dataset& dataset, const Device& device,
                         Classifier& classifier, const TrainingResult& result, double seconds) {
  const std::optional<Evaluation> of_last_epoch = classifier.checkpoint().progress.validation;
  return {.model = settings.model,
          .parameters = parameter_count(classifier.model()),
          .dataset = settings.dataset,
          .train_images = dataset.train.size(),
          .test_images = dataset.test.size(),
          .finished = result.reason != StopReason::stopped,
          .epochs = result.epochs,
          .steps = result.steps,
          .train_loss = result.train_loss,
          .train_accuracy = result.train_accuracy,
          .test = result.validation ? result.validation : of_last_epoch,
          .best_test_accuracy = result.best_accuracy,
          .best_epoch = result.best_epoch,
          .images_per_second = result.images_per_second,
          .peak_memory_bytes = peak_memory_bytes(device),
          .seconds = seconds,
          .device = device.str(),
          .precision = settings.precision,
          .threads = num_threads(),
          .batch_size = settings.batch_size,
          .seed = settings.seed};
}

bool has_done_nothing(const Checkpoint& start, const TrainingResult& result) {
  return result.reason != StopReason::stopped && result.steps == start.progress.step &&
         result.epochs == start.progress.epoch;
}

std::string describe_run(const RunSummary& run) {
  return fmt::format("{}: {} parameters; {}: {} training and {} test images; {}, {} threads, {}", run.model,
                     run.parameters, run.dataset, run.train_images, run.test_images, run.device, run.threads,
                     run.precision);
}

std::string describe_work(const Settings& settings, const Device& device) {
  return fmt::format("training {}, batch {}, {}, {}, {} threads", settings.model, settings.batch_size,
                     device.str(), settings.precision, num_threads());
}

std::string describe_end(const RunSummary& run, const std::string& out) {
  std::string text = fmt::format("{} after {} epochs, {} steps, {}", run.finished ? "done" : "stopped",
                                 run.epochs, run.steps, duration_text(run.seconds));
  if (run.test) text += fmt::format("; test accuracy {:.2f}%", 100 * run.test->accuracy);
  if (run.best_epoch > 0) {
    text += fmt::format(" (best {:.2f}% after epoch {})", 100 * run.best_test_accuracy, run.best_epoch);
  }
  text += "; saved in " + out;
  if (!run.finished) text += "; go on with: cifar_trainer train --resume --out " + out;
  return text;
}

// The run of a device that may fail for good: what to do then is part of the error.
TrainingResult train_and_explain(Classifier& classifier, const Dataset& dataset,
                                 const TrainingSettings& training, const RunFolder& folder) {
  try {
    return classifier.train(dataset.train, training, &dataset.test);
  } catch (const DeviceLost& error) {
    const bool is_saved = std::filesystem::exists(folder.last());
    throw DeviceLost(
        is_saved ? fmt::format("{}; {} is whole, go on with: cifar_trainer train --resume --out {}",
                               error.what(), folder.last(), folder.path())
                 : fmt::format("{}; nothing was saved yet, begin again with --overwrite", error.what()));
  }
}

}  // namespace

int train(const Arguments& arguments) {
  Place place = place_of(arguments);
  const RunFolder folder(place.out);
  const FolderLock lock(folder.path());  // from before it is looked into to the end
  const Start start = start_in(folder, arguments, place);
  const Settings& settings = start.settings;
  check_consistent(settings);
  const Device device = prepare_device(settings);

  const Dataset dataset = load_images(settings);
  throw_if_stopped("loading the images");
  TrainingSettings training = training_settings(settings, dataset.train.size());
  check_settings(training);
  ModelOptions options = model_options(settings);
  options.classes = dataset.train.classes();
  auto model = make_model(settings.model, options, training.seed);
  move_to(*model, device);
  Classifier classifier(std::move(model),
                        start.checkpoint ? start.checkpoint->normalisation : normalisation_of(dataset.train),
                        checkpoint_info(settings, dataset.train.class_names));

  double seconds_before = 0;
  if (start.checkpoint) {
    training.resume = &*start.checkpoint;
    if (!is_within(place.checkpoint, folder.path())) {
      folder.carry_over(place.checkpoint, start.checkpoint->progress.best_epoch);
    }
    seconds_before = folder.resume(start.checkpoint->progress.epoch);
  } else {
    folder.start();
  }
  folder.write_settings(settings);

  Recorder recorder(settings, folder, classifier, seconds_before);
  training.hooks = recorder.hooks();
  training.profile_steps = arguments.profile_steps;
  bool is_profiled = arguments.profile_steps == 0;
  DeviceSpeed speed;
  if (!is_profiled) speed = measure_speed(device, training.precision);
  training.hooks.on_profile = [&](const Profile& profile) {
    const std::string text = profile_text(describe_work(settings, device), profile, speed);
    folder.write_profile(text, chrome_trace(profile));
    recorder.progress().line(text);
    is_profiled = true;
  };
  recorder.progress().line(describe_run(summarise_run(settings, dataset, device, classifier, {}, 0)));
  if (settings.device == "auto" && device.is_cpu()) {
    recorder.progress().line("device auto is the CPU: " + cuda_status().reason);
  }
  const TrainingResult result = train_and_explain(classifier, dataset, training, folder);
  if (!is_profiled) recorder.progress().line("no step was profiled: the run ended within its first two");
  recorder.finish(result);

  const RunSummary summary = summarise_run(settings, dataset, device, classifier, result, recorder.seconds());
  if (start.checkpoint && has_done_nothing(*start.checkpoint, result) && folder.has_summary()) {
    recorder.progress().line("nothing was left to do in " + settings.out +
                             "; for more, raise --epochs or --max-steps");
    return 0;
  }
  folder.write_summary(to_json(summary));
  recorder.progress().line(describe_end(summary, settings.out));
  return summary.finished ? 0 : stop_exit_code();
}

}  // namespace fovea::cli
