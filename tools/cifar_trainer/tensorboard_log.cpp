#include "tensorboard_log.h"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <initializer_list>
#include <utility>

#include "append_file.h"
#include "event_files.h"
#include "event_records.h"
#include "fovea/core/atomic_file.h"
#include "fovea/core/check.h"
#include "host_name.h"
#include "tensorboard.pb.h"

namespace fovea::cli {
namespace {

namespace tb = fovea::tensorboard;

constexpr const char* kHparams = "hparams";

using Scalars = std::vector<std::pair<const char*, double>>;

double now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::string record(const tb::Event& event) {
  return event_record(event.SerializeAsString());
}

bool begins_with(const std::string& tag, std::initializer_list<const char*> prefixes) {
  for (const char* prefix : prefixes) {
    if (tag.starts_with(prefix)) return true;
  }
  return false;
}

// What is told after an epoch stands at the step of its end, at which a checkpoint may be of before that.
constexpr auto kAfterEpoch = {"loss/epoch", "loss/validation", "accuracy/epoch", "accuracy/validation"};
// What finish tells, which it tells again.
constexpr auto kAtEnd = {"loss/test", "accuracy/test", "masks/", "_hparams_/session_end_info"};

bool is_up_to(const tb::Event& event, const TrainingProgress& progress) {
  if (event.step() > progress.step) return false;
  if (event.summary().value_size() == 0) return true;
  const std::string& tag = event.summary().value(0).tag();
  const bool is_at_progress = event.step() == progress.step;
  return !begins_with(tag, kAtEnd) &&
         !(is_at_progress && progress.batch > 0 && begins_with(tag, kAfterEpoch));
}

// Files are left as they are where nothing of them is to go.
void cut_event_files(const std::string& folder, const TrainingProgress& progress) {
  for (const std::string& name : event_files(folder)) {
    const std::string path = (std::filesystem::path(folder) / name).string();
    std::string bytes;
    {
      const ReadableFile file(path, "run", throw_as<Error>);
      bytes.resize(file.size());
      file.read(0, bytes.data(), bytes.size());
    }
    std::string kept;
    for (const std::string_view content : read_event_records(bytes)) {
      tb::Event event;
      const bool is_event = event.ParseFromArray(content.data(), static_cast<int>(content.size()));
      if (is_event && is_up_to(event, progress)) kept += event_record(content);
    }
    if (kept.size() != bytes.size()) write_whole(path, kept, "run", throw_as<Error>);
  }
}

// One that sorts behind those that are there, as TensorBoard reads them.
std::string new_event_file(const std::string& folder) {
  const std::vector<std::string> names = event_files(folder);
  auto seconds = static_cast<int64_t>(now());
  for (;; ++seconds) {
    const std::string name =
        fmt::format("events.out.tfevents.{:010}.{}.{}.0", seconds, host_name(), getpid());
    if (names.empty() || name > names.back()) return (std::filesystem::path(folder) / name).string();
  }
}

void set_hyperparameters(const Settings& settings, tb::SessionStartInfo& info) {
  Settings copy = settings;
  for (const Setting& setting : list_settings(copy)) {
    const auto value = setting.field.value();
    if (!value || setting.key == "out") continue;
    auto& target = (*info.mutable_hparams())[setting.key];
    if (const bool* flag = std::get_if<bool>(&*value)) {
      target.set_bool_value(*flag);
    } else if (const auto* whole = std::get_if<int64_t>(&*value)) {
      target.set_number_value(static_cast<double>(*whole));
    } else if (const auto* number = std::get_if<double>(&*value)) {
      target.set_number_value(*number);
    } else {
      target.set_string_value(field_text(*value));
    }
  }
}

}  // namespace

void check_tensorboard(const Settings&) {}

class TensorboardLog::Implementation {
 public:
  Implementation(std::string folder, const Settings& settings, const TrainingProgress& progress)
      : folder_(std::move(folder)), settings_(settings), progress_(progress) {}

  /// All of one step stand in one event.
  void add(int64_t step, const Scalars& scalars) {
    tb::Event event;
    for (const auto& [tag, value] : scalars) {
      tb::Summary::Value& entry = *event.mutable_summary()->add_value();
      entry.set_tag(tag);
      entry.set_simple_value(static_cast<float>(value));
    }
    write(step, event);
  }

  void add_image(int64_t step, const std::string& tag, const std::string& png, int64_t side) {
    tb::Event event;
    tb::Summary::Value& entry = *event.mutable_summary()->add_value();
    entry.set_tag(tag);
    entry.mutable_image()->set_height(static_cast<int32_t>(side));
    entry.mutable_image()->set_width(static_cast<int32_t>(side));
    entry.mutable_image()->set_colorspace(3);
    entry.mutable_image()->set_encoded_image_string(png);
    write(step, event);
  }

  void end_session(int64_t step) {
    tb::HParamsPluginData data;
    data.mutable_session_end_info()->set_status(tb::STATUS_SUCCESS);
    data.mutable_session_end_info()->set_end_time_secs(now());
    add_hparams(step, "_hparams_/session_end_info", data);
  }

  void make_durable() {
    if (file_) file_->make_durable();
  }

 private:
  void write(int64_t step, tb::Event& event) {
    if (!file_) begin();
    event.set_step(step);
    event.set_wall_time(now());
    file_->append(record(event));
  }

  void begin() {
    cut_event_files(folder_, progress_);
    const bool goes_on = !event_files(folder_).empty();
    file_ = std::make_unique<AppendFile>(new_event_file(folder_));
    tb::Event version;
    version.set_file_version("brain.Event:2");
    write(0, version);
    if (goes_on) {
      tb::Event start;
      start.mutable_session_log()->set_status(tb::SessionLog::START);
      write(progress_.step + 1, start);
      return;
    }
    tb::HParamsPluginData experiment, start;
    for (const char* tag : {"accuracy/test", "accuracy/validation", "loss/test", "loss/validation"})
      experiment.mutable_experiment()->add_metric_infos()->mutable_name()->set_tag(tag);
    start.mutable_session_start_info()->set_start_time_secs(now());
    set_hyperparameters(settings_, *start.mutable_session_start_info());
    for (const auto& [name, value] : start.session_start_info().hparams()) {
      tb::HParamInfo& info = *experiment.mutable_experiment()->add_hparam_infos();
      info.set_name(name);
      info.set_type(value.has_bool_value()     ? tb::DATA_TYPE_BOOL
                    : value.has_number_value() ? tb::DATA_TYPE_FLOAT64
                                               : tb::DATA_TYPE_STRING);
    }
    add_hparams(0, "_hparams_/experiment", experiment);
    add_hparams(0, "_hparams_/session_start_info", start);
  }

  void add_hparams(int64_t step, const char* tag, const tb::HParamsPluginData& data) {
    tb::Event event;
    tb::Summary::Value& entry = *event.mutable_summary()->add_value();
    entry.set_tag(tag);
    entry.mutable_metadata()->mutable_plugin_data()->set_plugin_name(kHparams);
    entry.mutable_metadata()->mutable_plugin_data()->set_content(data.SerializeAsString());
    write(step, event);
  }

  std::string folder_;
  Settings settings_;
  TrainingProgress progress_;
  std::unique_ptr<AppendFile> file_;
};

TensorboardLog::TensorboardLog(const std::string& folder, const Settings& settings,
                               const TrainingProgress& progress)
    : implementation_(settings.tensorboard ? std::make_unique<Implementation>(folder, settings, progress)
                                           : nullptr) {}

TensorboardLog::~TensorboardLog() = default;

void TensorboardLog::step(const StepReport& report) {
  if (!implementation_) return;
  Scalars scalars = {{"loss/train", report.loss},
                     {"accuracy/train", report.epoch_accuracy},
                     {"learning_rate", report.learning_rate}};
  if (report.images_per_second > 0) scalars.emplace_back("images_per_second", report.images_per_second);
  implementation_->add(report.step, scalars);
}

void TensorboardLog::epoch(const MetricsRow& row) {
  if (!implementation_) return;
  Scalars scalars = {{"loss/epoch", row.train_loss}, {"accuracy/epoch", row.train_accuracy}};
  if (row.validation) {
    scalars.emplace_back("loss/validation", row.validation->loss);
    scalars.emplace_back("accuracy/validation", row.validation->accuracy);
  }
  implementation_->add(row.step, scalars);
}

void TensorboardLog::finish(const RunSummary& summary, const ReportPictures& pictures) {
  if (!implementation_ || !summary.test) return;
  implementation_->add(summary.steps,
                       {{"loss/test", summary.test->loss}, {"accuracy/test", summary.test->accuracy}});
  for (size_t n = 0; n < pictures.mask_images.size(); ++n) {
    implementation_->add_image(summary.steps, fmt::format("masks/image {}", n), pictures.mask_images[n],
                               pictures.image_side);
    for (const MaskColumn& column : pictures.masks) {
      implementation_->add_image(summary.steps, fmt::format("masks/image {}/{}", n, column.module),
                                 column.pngs[n], column.side);
    }
  }
  implementation_->end_session(summary.steps);
  implementation_->make_durable();
}

void TensorboardLog::make_durable() {
  if (implementation_) implementation_->make_durable();
}

}  // namespace fovea::cli
