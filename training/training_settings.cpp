#include "fovea/training/training_settings.h"

#include "fovea/core/check.h"
#include "fovea/training/batches.h"

namespace fovea {

void check_settings(const TrainingSettings& settings) {
  check_ranges(settings, "train");
  check<UsageError>(settings.epochs > 0, "train: epochs is 0, wanted at least 1");
  check_settings(settings.schedule);
  share_of({.batch_size = settings.batch_size}, settings.ranks);
}

std::map<std::string, std::string> describe(const TrainingSettings& settings) {
  TrainingSettings copy = settings;
  std::map<std::string, std::string> texts;
  for (const Field& field : fields_of(copy)) {
    const std::optional<FieldValue> value = field.value();
    if (value && field.info.shapes_result && field.info.is_used) texts[field.path] = field_text(*value);
  }
  return texts;
}

}  // namespace fovea
