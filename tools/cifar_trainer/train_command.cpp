#include <cerrno>

#include <fmt/format.h>
#include <filesystem>
#include <utility>

#include "commands.h"
#include "folder_lock.h"
#include "fovea/core/allocator.h"
#include "fovea/core/check.h"
#include "fovea/core/parallel_for.h"
#include "fovea/core/processor.h"
#include "fovea/kernels/cpu_variant.h"
#include "fovea/training/device_speed.h"
#include "output.h"
#include "profile.h"
#include "recipes.h"
#include "recorder.h"
#include "reports.h"
#include "run_folder.h"
#include "run_network.h"
#include "run_ranks.h"
#include "setup.h"
#include "signals.h"
#include "tested_network.h"

namespace fovea::cli {
namespace {

// Where a run goes on from, and where: in the folder of the file after --resume, or in --out.
struct RunPlace {
  std::string checkpoint;  // a file; "": a new run
  std::string out;
};

RunPlace place_of(const Arguments& arguments, const std::optional<Checkpoint>& init) {
  namespace fs = std::filesystem;
  RunPlace place{arguments.checkpoint, new_settings(arguments, init).out};
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

// The checkpoint of --init.
std::optional<Checkpoint> read_init(const Arguments& arguments) {
  if (arguments.init.empty()) return std::nullopt;
  check<UsageError>(!arguments.resume || arguments.resume_if_any,
                    "train: --init begins a new run, --resume goes on with one; give one of them, or --init "
                    "with --resume auto");
  std::error_code ignored;
  return read_checkpoint(std::filesystem::is_directory(arguments.init, ignored)
                             ? RunFolder(arguments.init).last()
                             : arguments.init);
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

// What a settings file may say in another way than the checkpoint, because someone has changed it, or because
// the run was cut off before the first save with a new end or precision.
void tell_of_other_settings(const Settings& saved, const Settings& wanted, const std::string& path) {
  const auto tell = [&](const char* key, const auto& before, const auto& now) {
    if (before != now) show(fmt::format("{} has {} = {}; the checkpoint {}\n", path, key, now, before));
  };
  tell("epochs", saved.training.epochs, wanted.training.epochs);
  tell("max-steps", saved.training.max_steps, wanted.training.max_steps);
  tell("precision", std::string_view(name_of(saved.training.precision)),
       std::string_view(name_of(wanted.training.precision)));
}

struct Start {
  Settings settings;
  std::optional<Checkpoint> checkpoint;  // where the run goes on from
};

// Settings of a run to be continued: those of the checkpoint, then of the settings file beside it, then the
// file and the flags that were given. All may change only the precision, and what does not shape the result.
Start start_from_checkpoint(const Arguments& arguments, const RunPlace& place) {
  const std::string& path = place.checkpoint;
  check<CheckpointError>(std::filesystem::exists(path), "resume: there is no ", path,
                         ": nothing was saved there yet; --resume auto begins the run");
  check<UsageError>(!RunFolder(place.out).holds_run() || is_within(path, place.out), "resume: ", path,
                    " is to be continued in ", place.out,
                    ", which holds another run; choose another folder with --out");
  Start start;
  start.checkpoint = read_checkpoint(path);
  Settings saved = settings_of(*start.checkpoint);
  if (!saved.validation) saved.validation = 0;  // of a time when no images were held out
  const RunFolder source(std::filesystem::path(path).parent_path().string());
  apply_toml(start.settings, to_toml(saved, Selection::shaping), path);
  start.settings.validation = saved.validation;
  if (std::filesystem::exists(source.settings())) {
    apply_saved_settings(start.settings, source.settings());
    check_resumable(saved, start.settings, source.settings());
    tell_of_other_settings(saved, start.settings, source.settings());
  }
  apply_arguments(start.settings, arguments);
  start.settings.out = place.out;
  resolve(start.settings);
  check_resumable(saved, start.settings);
  return start;
}

// The start of a run in a folder that no other process can change any more.
Start start_in(const RunFolder& folder, const Arguments& arguments, const std::optional<Checkpoint>& init,
               RunPlace& place) {
  if (!arguments.resume) folder.check_free(arguments.overwrite);
  if (arguments.resume_if_any && !std::filesystem::exists(place.checkpoint)) {
    // A run that was cut off after its first epoch may have the best checkpoint only. What one leaves that
    // was cut off before its first save is nothing to go on from.
    place.checkpoint = std::filesystem::exists(folder.best()) ? folder.best() : "";
  }
  if (place.checkpoint.empty()) return {new_settings(arguments, init), std::nullopt};
  return start_from_checkpoint(arguments, place);
}

RunSummary summarise_run(const Settings& settings, const RunImages& images, const Device& device,
                         const Ranks* ranks, Classifier& classifier, const TrainingResult& result,
                         const CheckpointTimes& times) {
  const std::optional<Evaluation> of_last_epoch = classifier.checkpoint().progress.evaluation;
  // What an older run, which had none, has evaluated are the test images.
  const bool has_validation = images.validation.size() > 0;
  return {.model = settings.model,
          .parameters = parameter_count(classifier.model()),
          .dataset = settings.dataset,
          .train_images = images.train.size(),
          .validation_images = images.validation.size(),
          .test_images = images.test.size(),
          .epochs = result.epochs,
          .steps = result.steps,
          .train_loss = result.train_loss,
          .train_accuracy = result.train_accuracy,
          .validation = !has_validation     ? std::nullopt
                        : result.evaluation ? result.evaluation
                                            : of_last_epoch,
          .best_validation_accuracy = has_validation ? result.best_accuracy : 0,
          .best_epoch = has_validation ? result.best_epoch : 0,
          .images_per_second = times.images_per_second,
          .peak_memory_bytes = peak_memory_bytes(device),
          .seconds = times.seconds,
          .device = device.str(),
          .processor = processor_name(device),
          .precision = name_of(settings.training.precision),
          .cpu_kernels = kernels::cpu_variant(),
          .threads = num_threads(),
          .ranks = ranks == nullptr ? 1 : ranks->size(),
          .batch_size = settings.training.batch_size,
          .seed = static_cast<int64_t>(settings.training.seed)};
}

bool has_done_nothing(const Checkpoint& start, const TrainingResult& result) {
  return result.reason != StopReason::stopped && result.steps == start.progress.step &&
         result.epochs == start.progress.epoch;
}

// How a run that has come to its end is made longer.
std::string advice_on_more(const Settings& settings, const RunFolder& folder, StopReason reason) {
  if (reason == StopReason::max_steps && settings.training.epochs > 0) {
    return "for more, raise --max-steps, or give 0 for all " + std::to_string(settings.training.epochs) +
           " epochs";
  }
  if (length_shapes_result(settings)) {
    return "the schedule of its learning rate ends there, so that it cannot be made longer; to train on, "
           "begin "
           "a new run with its weights: cifar_trainer train --init " +
           folder.last() + " --out OTHER";
  }
  return settings.training.epochs > 0 ? "for more, raise --epochs" : "for more, raise --max-steps";
}

std::string describe_run(const RunSummary& run) {
  return fmt::format(
      "{}: {} parameters; {}: {} training, {} validation and {} test images; {}, {} threads, {}{}", run.model,
      run.parameters, run.dataset, run.train_images, run.validation_images, run.test_images, run.device,
      run.threads, run.precision, run.ranks > 1 ? fmt::format(" in each of {} ranks", run.ranks) : "");
}

std::string describe_work(const Settings& settings, const Device& device) {
  return fmt::format("training {}, batch {}, {}, {}, {} threads", settings.model,
                     settings.training.batch_size, device.str(), name_of(settings.training.precision),
                     num_threads());
}

// The command that goes on with a run, with this program as it was called, which may be by its path.
std::string resume_command(const std::string& out) {
  return fmt::format("{} train --resume --out {}", program_invocation_name, out);
}

std::string describe_end(const RunSummary& run, const std::string& out, bool is_planned) {
  std::string text = fmt::format("{} after {} epoch{}, {} step{}, {}", run.finished ? "done" : "stopped",
                                 run.epochs, run.epochs == 1 ? "" : "s", run.steps, run.steps == 1 ? "" : "s",
                                 duration_text(run.seconds));
  if (run.validation) text += fmt::format("; validation accuracy {:.2f}%", 100 * run.validation->accuracy);
  if (run.best_epoch > 0) {
    text += fmt::format(" (best {:.2f}% after epoch {})", 100 * run.best_validation_accuracy, run.best_epoch);
  }
  if (run.test) {
    text += fmt::format("; test accuracy {:.2f}% by {}", 100 * run.test->accuracy, run.tested_checkpoint);
  }
  text += "; saved in " + out;
  if (!run.finished) text += "; go on with" + (is_planned ? " the same command" : ": " + resume_command(out));
  return text;
}

// The run of a device that may fail for good: what to do then is part of the error.
TrainingResult train_and_explain(Classifier& classifier, const RunImages& images,
                                 const TrainingSettings& training, const RunFolder& folder) {
  try {
    return classifier.train(images.train, training, images.validation_or_null());
  } catch (const DeviceLost& error) {
    const bool is_saved = std::filesystem::exists(folder.last());
    throw DeviceLost(
        is_saved ? fmt::format("{}; {} is whole, go on with: {}", error.what(), folder.last(),
                               resume_command(folder.path()))
                 : fmt::format("{}; nothing was saved yet, begin again with --overwrite", error.what()));
  }
}

}  // namespace

int train(const Arguments& given) {
  StartedRanks started;
  if (started.get() != nullptr && started.get()->rank() > 0) return train_as_other_rank(started);
  Arguments arguments = given;
  if (!given.config.empty()) arguments.config = settings_file_of(given.config);
  const std::optional<Checkpoint> init = read_init(arguments);
  RunPlace place = place_of(arguments, init);
  const RunFolder folder(place.out);
  std::optional<FolderLock> lock;  // from before it is looked into to the end
  if (!arguments.dry_run) lock.emplace(folder.path());
  Start start = start_in(folder, arguments, init, place);
  Settings& settings = start.settings;
  check_consistent(settings);
  check_tensorboard(settings);
  check_image_size(settings);
  const Device device = device_of_rank(started, settings);
  if (started.get() != nullptr) {
    Settings told = settings;
    if (told.device == "auto") told.device = device.is_cpu() ? "cpu" : "cuda";
    share_processors(settings.threads > 0);
    tell_ranks(*started.get(), arguments.dry_run
                                   ? SettledRun{}
                                   : SettledRun{to_toml(told, Selection::all), place.checkpoint,
                                                init ? init->where : "", arguments.profile_steps});
  }
  if (arguments.dry_run) return 0;
  started.join(device);
  Ranks* const ranks = started.get();

  const RunImages images = images_of_run(settings);
  throw_if_stopped("loading the images");
  TrainingSettings training = training_settings(settings, images.train.size());
  training.ranks = ranks;
  check_settings(training);
  RunNetwork network = network_of_run(settings, images, device, start.checkpoint, init);
  Classifier& classifier = network.classifier;
  if (ranks != nullptr) {  // before a file changes that they read
    const std::string difference =
        difference_of_ranks(*ranks, images, start_weights(network, start.checkpoint));
    check<UsageError>(difference.empty(), difference);
  }

  CheckpointTimes times;  // until now
  std::string best_before;
  if (start.checkpoint) {
    training.resume = &*start.checkpoint;
    if (!is_within(place.checkpoint, folder.path())) {
      folder.carry_over(place.checkpoint, start.checkpoint->progress.best_epoch);
    }
    best_before = folder.set_best_aside(start.checkpoint->progress.best_epoch);
    const double seconds = folder.resume(start.checkpoint->progress.epoch);
    folder.resume_log(start.checkpoint->progress);
    times =
        RunTimes(folder.times()).at(start.checkpoint->progress).value_or(CheckpointTimes{.seconds = seconds});
    start.checkpoint->step_seconds = times.step_seconds;
  } else {
    folder.start();
  }
  folder.write_settings(settings);

  const TrainingProgress begin = start.checkpoint ? start.checkpoint->progress : TrainingProgress{};
  Recorder recorder(settings, folder, classifier, times, begin);
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
  recorder.progress().line(describe_run(summarise_run(settings, images, device, ranks, classifier, {}, {})));
  if (settings.device == "auto" && device.is_cpu()) {
    recorder.progress().line("device auto is the CPU: " + cuda_status().reason);
  }
  if (!network.origin.empty()) recorder.progress().line(network.origin);
  if (!best_before.empty()) {
    recorder.progress().line("the best checkpoint there is not of the run up to " + place.checkpoint +
                             "; it is kept as " + best_before);
  }
  const TrainingResult result = train_and_explain(classifier, images, training, folder);
  if (!is_profiled) recorder.progress().line("no step was profiled: the run ended within its first two");
  recorder.finish(result);

  if (start.checkpoint && has_done_nothing(*start.checkpoint, result) &&
      folder.is_finished(start.checkpoint->progress)) {
    recorder.progress().line("nothing was left to do: the run in " + settings.out + " is complete; " +
                             advice_on_more(settings, folder, result.reason));
    return 0;
  }
  RunSummary summary = summarise_run(settings, images, device, ranks, classifier, result, recorder.times());
  TestedNetwork tested_network;
  if (result.reason != StopReason::stopped) {
    const std::string tested = folder.chosen(summary.best_epoch);
    if (summary.best_epoch > 0 && tested == folder.last()) {
      recorder.progress().line(fmt::format("{} is not there, or not of epoch {}: the last network is tested",
                                           folder.best(), summary.best_epoch));
    }
    summary.tested_checkpoint = std::filesystem::path(tested).filename().string();
    tested_network = test_network(tested, images.test, device, recorder.progress());
    summary.test = tested_network.evaluation;
    summary.finished = summary.test.has_value();
  }
  // The summary comes last: where it says that a run is finished, nothing of it is missing.
  const std::string summary_text = to_json(summary);
  if (tested_network.predictions.size() > 0) folder.write_predictions(to_csv(tested_network.predictions));
  recorder.finish(summary, tested_network.pictures);
  write_run_report(folder, summary_text, summary.finished ? &tested_network.pictures : nullptr,
                   recorder.progress());
  folder.write_summary(summary_text);
  recorder.progress().line(describe_end(summary, settings.out, arguments.is_planned));
  return summary.finished ? 0 : stop_exit_code();
}

}  // namespace fovea::cli
