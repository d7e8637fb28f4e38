#include "fovea/training/classifier.h"

#include <chrono>
#include <cmath>
#include <utility>
#include <vector>

#include "fovea/core/check.h"
#include "fovea/kernels/conv_choices.h"
#include "fovea/layers/functional.h"
#include "fovea/training/batches.h"
#include "fovea/training/evaluator.h"
#include "fovea/training/training_run.h"

namespace fovea {
namespace {

/// Whatever ends the run: the model has f32 parameters afterwards.
struct ClosesRun {
  TrainingRun& run;
  ~ClosesRun() { run.close(); }
};

void check_images(const char* operation, const Tensor& images) {
  check(images.defined() && images.dtype() == Dtype::u8 && images.rank() == 4 && images.shape(3) == 3,
        operation, ": images are ", images, ", wanted u8[N, H, W, 3]");
}

}  // namespace

Classifier::Classifier(std::unique_ptr<Model> model, const ImageNormalisation& normalisation,
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
                                 const ImageSet* evaluation_set) {
  const auto begin = std::chrono::steady_clock::now();
  check_settings(settings);
  check<UsageError>(
      (run_ == nullptr || run_->is_closed()) && !EvaluationMode::covers(*model_),
      "train: this classifier is being trained or evaluated, and train was called in a hook; wait "
      "until that returns, or train another classifier");
  check<UsageError>(data.size() > 0, "train: the training set is empty");
  const TF32Scope tf32(settings.precision == Precision::tf32);
  auto run = std::make_unique<TrainingRun>(*model_, data, normalisation_, settings);
  if (settings.resume != nullptr) run->resume(*settings.resume);
  run_ = std::move(run);
  const ClosesRun closes_run{*run_};
  const kernels::ConvChoicesScope convolutions(run_->convolutions());

  const EvaluationSettings evaluation_settings{.batch_size = settings.evaluation_batch_size,
                                               .on_batch = settings.hooks.on_evaluation,
                                               .should_stop = settings.hooks.should_stop,
                                               .should_interrupt = settings.hooks.should_interrupt,
                                               .ranks = settings.ranks};
  std::optional<Evaluator> evaluator;
  if (evaluation_set != nullptr) {
    evaluator.emplace(*model_, *evaluation_set, normalisation_, settings.evaluation_batch_size,
                      settings.capture);
  }
  StopReason reason = StopReason::finished;
  while (run_->has_epochs_left()) {
    reason = run_->train_epoch();
    if (reason != StopReason::finished) break;
    std::optional<Evaluation> evaluation;
    if (evaluation_set != nullptr) {
      evaluation = run_->evaluate(*evaluator, evaluation_settings);
      if (evaluation->images <
          evaluation_set->size()) {  // the checkpoint's epoch is still without its evaluation
        reason = StopReason::stopped;
        break;
      }
    }
    run_->finish_epoch(evaluation);
  }
  run_->report_profile();

  TrainingResult result = run_->result(reason);
  const bool is_inside_epoch = run_->progress().batch > 0 || !result.evaluation;
  if (reason == StopReason::max_steps && evaluation_set != nullptr && is_inside_epoch) {
    result.evaluation = run_->evaluate(*evaluator, evaluation_settings);
    if (result.evaluation->images < evaluation_set->size()) result.evaluation.reset();
  }
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return result;
}

Evaluation Classifier::evaluate(const ImageSet& data, const EvaluationSettings& settings) const {
  return Evaluator(*model_, data, normalisation_, settings.batch_size, /*capture=*/false,
                   settings.flip_average)
      .run(settings);
}

Batches Classifier::batches_of(const char* operation, const Tensor& images, int64_t batch_size) const {
  // Labels that nobody looks at: a set must have some.
  const ImageSet data{"images", images, Tensor::zeros({images.shape(0)}, Dtype::i32), {"unknown"}};
  return Batches(data, normalisation_, unaugmented_in_order(operation, batch_size), place_of(*model_));
}

Tensor Classifier::predict_probabilities(const Tensor& images, const EvaluationSettings& settings) const {
  check_images("predict_probabilities", images);
  const int64_t N = images.shape(0);
  Batches batches = batches_of("predict_probabilities", images, settings.batch_size);
  const EvaluationMode evaluation_mode(*model_);
  Tensor probabilities;
  const int64_t done =
      for_each_batch(N, settings.batch_size, settings, place_of(*model_).device, [&](int64_t first, int64_t) {
        const NoGrad no_grad;  // not in hooks: they may train another model
        const Variable logits = model_->forward(batches.at(first / settings.batch_size).images);
        const Tensor part = F::softmax(F::cast(logits, Dtype::f32)).value().to(Device::cpu());
        const int64_t C = part.shape(1);
        if (!probabilities.defined()) probabilities = Tensor::empty({N, C});
        probabilities.slice(first * C, part.shape()).copy_from(part);
      });
  if (!probabilities.defined()) return Tensor::empty({0, 0});
  return probabilities.slice(0, {done, probabilities.shape(1)});
}

std::vector<AttentionMaps> Classifier::attention_maps(const Tensor& images) const {
  check_images("attention_maps", images);
  const int64_t N = images.shape(0);
  check<UsageError>(N > 0, "attention_maps: there are no images");
  return fovea::attention_maps(*model_, batches_of("attention_maps", images, N).at(0).images);
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
    checkpoint.convolutions = run_->convolutions();
    checkpoint.step_seconds = run_->step_seconds();
  }
  return checkpoint;
}

void Classifier::save(const std::string& path) const {
  write_checkpoint(path, checkpoint());
}

void Classifier::load(const Checkpoint& checkpoint) {
  if (run_ != nullptr && !run_->is_closed()) return run_->load(checkpoint);  // in a hook
  load_weights(*model_, checkpoint.model, checkpoint.where, checkpoint.others);
  run_.reset();
}

}  // namespace fovea
