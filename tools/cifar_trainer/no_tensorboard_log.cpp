#include "fovea/core/check.h"
#include "tensorboard_log.h"

namespace fovea::cli {

void check_tensorboard(const Settings& settings) {
  check<UsageError>(
      !settings.tensorboard,
      "settings: tensorboard is true, and this program was built without it (FOVEA_TENSORBOARD); leave "
      "--tensorboard out, or build it where protobuf's compiler, libprotobuf and Boost's headers are");
}

class TensorboardLog::Implementation {};

TensorboardLog::TensorboardLog(const std::string&, const Settings& settings, const TrainingProgress&) {
  check_tensorboard(settings);
}

TensorboardLog::~TensorboardLog() = default;
void TensorboardLog::step(const StepReport&) {}
void TensorboardLog::epoch(const MetricsRow&) {}
void TensorboardLog::finish(const RunSummary&, const ReportPictures&) {}
void TensorboardLog::make_durable() {}

}  // namespace fovea::cli
