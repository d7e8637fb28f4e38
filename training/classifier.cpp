#include "fovea/training/classifier.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>
#include <utility>
#include <vector>

#include "fovea/core/check.h"
#include "fovea/layers/functional.h"
#include "fovea/training/device_batches.h"
#include "fovea/training/training_run.h"

namespace fovea {
namespace {

/// Where a model computes and in what: as its first parameter says.
std::pair<Device, Dtype> place_of(Module& module) {
  const std::vector<NamedParameter> parameters = named_parameters(module);
  if (parameters.empty()) return {Device::cpu(), Dtype::f32};
  const Tensor& first = parameters[0].variable.value();
  return {first.device(), first.dtype()};
}

/// Calls use(first image, logits, labels) for batch after batch; returns how many images it got through.
template <class Use>
int64_t for_each_batch(Model& model, const ImageSet& data, const Normalisation& normalisation,
                       const EvaluationSettings& settings, const Use& use) {
  check<UsageError>(settings.batch_size >= 1, "evaluate: batch_size is ", settings.batch_size,
                    ", wanted at least 1");
  const EvaluationMode evaluation_mode(model);
  const NoGrad no_grad;
  const auto [device, dtype] = place_of(model);
  const DeviceBatches batches(data, normalisation, std::nullopt, /*seed=*/0, dtype, device);
  int64_t done = 0;
  while (done < data.size() && !(settings.should_stop && settings.should_stop())) {
    const Batch batch = batches.slice(done, std::min(settings.batch_size, data.size() - done));
    use(done, model.forward(batch.images), batch.labels);
    done += batch.labels.size();
    if (settings.on_batch) settings.on_batch(done, data.size());
  }
  return done;
}

/// Whatever ends the run: the model has f32 parameters afterwards.
struct ClosesRun {
  TrainingRun& run;
  ~ClosesRun() { run.close(); }
};

}  // namespace

Classifier::Classifier(std::unique_ptr<Model> model, const Normalisation& normalisation,
                       std::map<std::string, std::string> info)
    : model_(std::move(model)), normalisation_(normalisation), info_(std::move(info)) {
  check(model_ != nullptr, "Classifier: there is no model");
  for (size_t c = 0; c < normalisation.mean.size(); ++c) {
    check(std::isfinite(normalisation.mean[c]) && std::isfinite(normalisation.deviation[c]) &&
              normalisation.deviation[c] > 0,
          "Classifier: the normalisation of channel ", c, " is ", normalisation.mean[c], " and ",
          normalisation.deviation[c], ", wanted a mean and a deviation above 0");
  }
}

Classifier::~Classifier() = default;
Classifier::Classifier(Classifier&&) noexcept = default;
Classifier& Classifier::operator=(Classifier&&) noexcept = default;

TrainingResult Classifier::train(const ImageSet& data, const TrainingSettings& settings,
                                 const ImageSet* validation) {
  const auto begin = std::chrono::steady_clock::now();
  check_settings(settings);
  check<UsageError>(data.size() > 0, "train: the training set is empty");
  const TF32Scope tf32(settings.precision == Precision::tf32);
  auto run = std::make_unique<TrainingRun>(*model_, data, normalisation_, settings);
  if (settings.resume != nullptr) run->resume(*settings.resume);
  run_ = std::move(run);
  const ClosesRun closes_run{*run_};

  const EvaluationSettings evaluation_settings{.batch_size = settings.evaluation_batch_size,
                                               .on_batch = settings.hooks.on_validation,
                                               .should_stop = settings.hooks.should_stop};
  StopReason reason = StopReason::finished;
  while (run_->has_epochs_left()) {
    reason = run_->train_epoch();
    if (reason != StopReason::finished) break;
    std::optional<Evaluation> evaluation;
    if (validation != nullptr) {
      evaluation = evaluate(*validation, evaluation_settings);
      if (evaluation->images <
          validation->size()) {  // the checkpoint's epoch is still without its validation
        reason = StopReason::stopped;
        break;
      }
    }
    run_->finish_epoch(evaluation);
  }
  run_->report_profile();

  TrainingResult result = run_->result(reason);
  const bool is_inside_epoch = run_->progress().batch > 0 || !result.validation;
  if (reason == StopReason::max_steps && validation != nullptr && is_inside_epoch) {
    result.validation = evaluate(*validation, evaluation_settings);
    if (result.validation->images < validation->size()) result.validation.reset();
  }
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return result;
}

Evaluation Classifier::evaluate(const ImageSet& data, const EvaluationSettings& settings) {
  constexpr int64_t kTop = 5, kClassesForTop = 10;
  double loss_sum = 0;
  int64_t correct = 0, in_top = 0, classes = 0;
  Evaluation evaluation;
  evaluation.images = for_each_batch(
      *model_, data, normalisation_, settings, [&](int64_t, const Variable& logits, const Tensor& labels) {
        classes = logits.shape(1);
        loss_sum +=
            F::softmax_cross_entropy(logits, labels).value().item() * static_cast<double>(labels.size());
        correct += count_correct(logits.value(), labels);
        if (classes >= kClassesForTop) in_top += count_correct(logits.value(), labels, kTop);
      });
  const double images = static_cast<double>(std::max<int64_t>(evaluation.images, 1));
  evaluation.loss = loss_sum / images;
  evaluation.accuracy = static_cast<double>(correct) / images;
  if (classes >= kClassesForTop) evaluation.top5_accuracy = static_cast<double>(in_top) / images;
  return evaluation;
}

Tensor Classifier::predict_probabilities(const Tensor& images, const EvaluationSettings& settings) {
  check(images.defined() && images.dtype() == Dtype::u8 && images.rank() == 4 && images.shape(3) == 3,
        "predict_probabilities: images are ", images, ", wanted u8[N, H, W, 3]");
  const int64_t N = images.shape(0);
  // Labels that nobody looks at: a set must have some.
  const ImageSet data{"images", images, Tensor::zeros({N}, Dtype::i32), {"unknown"}};
  Tensor probabilities;
  const int64_t done = for_each_batch(
      *model_, data, normalisation_, settings, [&](int64_t first, const Variable& logits, const Tensor&) {
        const Tensor part = F::softmax(F::cast(logits, Dtype::f32)).value().to(Device::cpu());
        const int64_t C = part.shape(1);
        if (!probabilities.defined()) probabilities = Tensor::empty({N, C});
        probabilities.slice(first * C, part.shape()).copy_from(part);
      });
  if (!probabilities.defined()) return Tensor::empty({0, 0});
  return probabilities.slice(0, {done, probabilities.shape(1)});
}

Checkpoint Classifier::checkpoint() const {
  Checkpoint checkpoint;
  checkpoint.model = run_ != nullptr ? run_->weights() : weights_of(*model_);
  checkpoint.normalisation = normalisation_;
  checkpoint.info = info_;
  if (run_ != nullptr) {
    checkpoint.optimiser = run_->state();
    checkpoint.settings = run_->description();
    checkpoint.progress = run_->progress();
  }
  return checkpoint;
}

void Classifier::save(const std::string& path) const {
  write_checkpoint(path, checkpoint());
}

void Classifier::load(const Checkpoint& checkpoint) {
  load_weights(*model_, checkpoint.model, checkpoint.where);
  run_.reset();
}

}  // namespace fovea
