#include <fmt/format.h>
#include <chrono>

#include "commands.h"
#include "fovea/core/allocator.h"
#include "fovea/core/check.h"
#include "fovea/kernels/cpu_variant.h"
#include "initial_weights.h"
#include "output.h"
#include "profile.h"
#include "progress.h"
#include "reports.h"
#include "setup.h"
#include "signals.h"

namespace fovea::cli {

int evaluate(const Arguments& arguments) {
  const Checkpoint checkpoint = read_named_checkpoint(arguments.checkpoint);
  const Settings settings = settings_for_use(checkpoint, arguments);
  const Device device = prepare_device(settings);
  Classifier classifier = load_classifier(checkpoint, device, settings.training.precision);
  const ImageSet images = load_split(settings, arguments);
  const auto classes = class_count(checkpoint);
  check<UsageError>(images.classes() == classes, "evaluate: ", settings.dataset, " has ", images.classes(),
                    " classes, but the network of ", checkpoint.where, " was trained on ", classes);
  const std::string warning = other_class_names(
      class_names_of(checkpoint), "the network of " + checkpoint.where, images.class_names, images.name);
  if (!warning.empty()) show(warning + ", so that the accuracy may mean nothing\n");
  throw_if_stopped("loading");

  EvaluationReport report;
  run_profiled(arguments.profile, device, settings.training.precision, [&] {
    const auto begin = std::chrono::steady_clock::now();
    Progress progress;
    EvaluationSettings how = shown_evaluation(progress, "evaluating", settings.training.batch_size);
    how.flip_average = arguments.flip_average;
    report.evaluation = classifier.evaluate(images, how);
    report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  });
  throw_if_stopped("evaluating");
  if (!report.evaluation.is_finite()) {
    throw Error(
        str("evaluate: the loss is ", report.evaluation.loss, " over ", report.evaluation.images,
            " images of ", settings.dataset, ", so that the network of ", checkpoint.where,
            " classifies nothing: ", advice_on_non_finite(classifier.model(), settings.training.precision)));
  }
  report.images_per_second = static_cast<double>(report.evaluation.images) / report.seconds;
  report.checkpoint = checkpoint.where;
  report.model = settings.model;
  report.dataset = settings.dataset;
  report.split = arguments.split;
  report.flip_average = arguments.flip_average;
  report.peak_memory_bytes = peak_memory_bytes(device);
  report.device = device.str();
  report.precision = name_of(settings.training.precision);
  report.cpu_kernels = kernels::cpu_variant();

  if (arguments.json) {
    print("{}\n", to_json(report));
    return 0;
  }
  print("{} on {} images of {} ({}{}): accuracy {:.2f}%, loss {:.4f}", report.model, report.evaluation.images,
        report.dataset, report.split, report.flip_average ? ", averaged with mirror images" : "",
        100 * report.evaluation.accuracy, report.evaluation.loss);
  if (report.evaluation.top5_accuracy) {
    print(", top-5 accuracy {:.2f}%", 100 * *report.evaluation.top5_accuracy);
  }
  print("; {:.0f} images/s\n", report.images_per_second);
  return 0;
}

}  // namespace fovea::cli
