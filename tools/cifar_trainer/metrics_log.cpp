#include "metrics_log.h"

#include <string_view>

#include "flat_json.h"
#include "fovea/core/json_writer.h"
#include "run_folder.h"

namespace fovea::cli {
namespace {

/// An object on one line.
class Line {
 public:
  explicit Line(const char* event) {
    json_.begin_object();
    json_.key("event");
    json_.text(event);
  }
  void add(const char* key, int64_t value) {
    json_.key(key);
    json_.integer(value);
  }
  void add(const char* key, double value) {
    json_.key(key);
    json_.number(value);
  }
  /// Null where it was not measured.
  void add_speed(double images_per_second) {
    json_.key("images_per_second");
    images_per_second > 0 ? json_.number(images_per_second) : json_.null();
  }
  std::string text() {
    json_.end_object();
    return json_.str() + "\n";
  }

 private:
  JsonWriter json_;
};

/// Whether a line is of a time before a checkpoint. The epoch of a part that --max-steps left is one that the
/// checkpoint has not done.
bool is_up_to(std::string_view line, const TrainingProgress& progress) {
  const std::optional<FlatJson> object = read_flat_json(line);
  if (!object) return false;
  const std::string event = value_of(*object, "event");
  const std::optional<double> step = number_of(*object, "step"), epoch = number_of(*object, "epoch");
  if (event == "step") return step && *step <= static_cast<double>(progress.step);
  return event == "epoch" && epoch && *epoch <= static_cast<double>(progress.epoch);
}

}  // namespace

void MetricsLog::step(const StepReport& report) {
  Line line("step");
  line.add("step", report.step);
  line.add("epoch", report.epoch);
  line.add("batch", report.batch);
  line.add("loss", report.loss);
  line.add("epoch_loss", report.epoch_loss);
  line.add("epoch_accuracy", report.epoch_accuracy);
  line.add("learning_rate", report.learning_rate);
  line.add_speed(report.images_per_second);
  file_.append(line.text());
}

void MetricsLog::epoch(const MetricsRow& row) {
  Line line("epoch");
  line.add("step", row.step);
  line.add("epoch", row.epoch);
  line.add("learning_rate", row.learning_rate);
  line.add("train_loss", row.train_loss);
  line.add("train_accuracy", row.train_accuracy);
  if (row.validation) {
    line.add("validation_loss", row.validation->loss);
    line.add("validation_accuracy", row.validation->accuracy);
  }
  line.add_speed(row.images_per_second);
  line.add("seconds", row.seconds);
  file_.append(line.text());
}

std::string MetricsLog::up_to(const std::string& text, const TrainingProgress& progress) {
  std::string kept;
  size_t begin = 0;
  for (size_t end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
    const std::string_view line = std::string_view(text).substr(begin, end - begin);
    if (is_up_to(line, progress)) kept.append(line).append("\n");
  }
  return kept;
}

}  // namespace fovea::cli
