#include <charconv>

#include "fovea/core/check.h"
#include "fovea/training/classifier.h"

namespace fovea {
namespace {

std::string text_of(double number) {
  char buffer[64];
  return {buffer, std::to_chars(buffer, buffer + sizeof(buffer), number).ptr};
}

std::string text_of(bool statement) {
  return statement ? "true" : "false";
}

}  // namespace

void check_settings(const TrainingSettings& settings) {
  const auto at_least = [](const char* name, int64_t value, int64_t least) {
    check<UsageError>(value >= least, "train: ", name, " is ", value, ", wanted at least ", least);
  };
  at_least("epochs", settings.epochs, 1);
  at_least("max_steps", settings.max_steps, 0);
  at_least("batch_size", settings.batch_size, 1);
  at_least("evaluation_batch_size", settings.evaluation_batch_size, 1);
  at_least("exact_every", settings.exact_every, 0);
  check<UsageError>(settings.report_seconds >= 0, "train: report_seconds is ", settings.report_seconds,
                    ", wanted at least 0");
  at_least("profile_steps", settings.profile_steps, 0);
  if (settings.augmentation) at_least("augmentation.padding", settings.augmentation->padding, 0);
  check<UsageError>(settings.label_smoothing >= 0 && settings.label_smoothing < 1,
                    "train: label_smoothing is ", settings.label_smoothing,
                    ", wanted 0 <= label_smoothing < 1");
  check_settings(settings.optimiser);
  check_settings(settings.schedule);
}

std::map<std::string, std::string> describe(const TrainingSettings& settings) {
  std::map<std::string, std::string> texts{
      {"epochs", std::to_string(settings.epochs)},
      {"batch_size", std::to_string(settings.batch_size)},
      {"evaluation_batch_size", std::to_string(settings.evaluation_batch_size)},
      {"label_smoothing", text_of(settings.label_smoothing)},
      {"precision", name_of(settings.precision)},
      {"seed", std::to_string(settings.seed)},
      {"augmentation", text_of(settings.augmentation.has_value())},
  };
  if (settings.augmentation) {
    texts["augmentation.padding"] = std::to_string(settings.augmentation->padding);
    texts["augmentation.flip"] = text_of(settings.augmentation->flip);
  }

  const OptimiserSettings& optimiser = settings.optimiser;
  texts["optimiser"] = name_of(optimiser.kind);
  texts["optimiser.weight_decay"] = text_of(optimiser.weight_decay);
  texts["optimiser.decay_norm_and_bias"] = text_of(optimiser.decay_norm_and_bias);
  if (optimiser.kind == OptimiserKind::sgd) {
    texts["optimiser.momentum"] = text_of(optimiser.momentum);
    texts["optimiser.nesterov"] = text_of(optimiser.nesterov);
  } else {
    texts["optimiser.beta1"] = text_of(optimiser.beta1);
    texts["optimiser.beta2"] = text_of(optimiser.beta2);
    texts["optimiser.epsilon"] = text_of(optimiser.epsilon);
  }

  const ScheduleSettings& schedule = settings.schedule;
  texts["schedule"] = name_of(schedule.kind);
  texts["schedule.learning_rate"] = text_of(schedule.learning_rate);
  if (schedule.warm_up) texts["schedule.warm_up"] = text_of(*schedule.warm_up);
  if (schedule.horizon > 0) texts["schedule.horizon"] = std::to_string(schedule.horizon);
  if (schedule.kind == ScheduleKind::steps) {
    texts["schedule.factor"] = text_of(schedule.factor);
    std::string milestones;
    for (const double milestone : schedule.milestones)
      milestones += (milestones.empty() ? "" : ", ") + text_of(milestone);
    texts["schedule.milestones"] = milestones;
  }
  return texts;
}

}  // namespace fovea
