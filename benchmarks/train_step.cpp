#include "train_step.h"

#include <chrono>

#include "fovea/core/check.h"
#include "fovea/core/random.h"
#include "fovea/models/zoo.h"
#include "fovea/training/checkpoint.h"
#include "random_labels.h"

namespace fovea::bench {
namespace {

constexpr int64_t kStepsOfEpoch = 4096;
constexpr int kStepsHandedOver = 2;  // the second loss also tells of the gradients and the optimiser

}  // namespace

StepTimer::StepTimer(const std::string& model, int64_t batch, bool training, Device device,
                     Precision precision)
    : device_(device),
      model_(make_model(model, {}, /*seed=*/1)),
      rates_(static_cast<size_t>(kStepsOfEpoch), 0.01),
      labels_(random_labels(batch, /*classes=*/10, device)) {
  const int64_t H = model_input_size(model);
  images_ = normal({batch, H, H, 3}, Random(1, Purpose::test), 1.0f, activation_dtype(precision)).to(device);
  move_to(*model_, device);
  model_->train(training);
  set_tf32(precision == Precision::tf32);
  if (training) {
    optimiser_ = std::make_unique<Optimiser>(*model_, OptimiserSettings{}, activation_dtype(precision));
    TrainingSettings settings;
    settings.precision = precision;
    step_.emplace(*model_, *optimiser_, settings, kStepsOfEpoch);
    step_->begin_epoch(rates_, /*next=*/0, /*correct=*/0);
  } else {
    set_precision(*model_, precision);
  }
}

void StepTimer::run_eagerly() {
  if (step_) {
    step_->run({images_, labels_});
  } else {
    const NoGrad no_grad;
    logits_ = model_->forward(images_).value();
  }
}

void StepTimer::begin_run() {
  if (step_ && position_ == kStepsOfEpoch) {
    step_->begin_epoch(rates_, /*next=*/0, /*correct=*/0);
    position_ = 0;
  }
}

void StepTimer::profile(Profile& profile) {
  begin_run();
  profile_step(
      device_, [&] { run_eagerly(); }, profile);
  has_run_ = true;
  ++position_;
}

void StepTimer::run() {
  begin_run();
  if (device_.is_cuda() && has_run_ && !graph_) graph_.emplace(device_, [&] { run_eagerly(); });
  if (graph_) {
    graph_->replay();
  } else {
    run_eagerly();
  }
  has_run_ = true;
  ++position_;
}

SafetensorsFile StepTimer::hand_over() {
  check(!has_run_,
        "StepTimer::hand_over: the model has run already, so its weights may no longer be the first");
  SafetensorsFile file;
  for (const NamedTensor& weight : weights_of(*model_)) {
    file.tensors.push_back({"model." + weight.name, weight.tensor.clone()});
  }
  file.tensors.push_back({"images", images_});
  file.tensors.push_back({"labels", labels_});
  if (step_) {
    std::vector<float> losses;
    for (int i = 0; i < kStepsHandedOver; ++i) {
      run();
      losses.push_back(static_cast<float>(result()));
    }
    file.tensors.push_back({"losses", Tensor::from<float>(losses, {kStepsHandedOver})});
  } else {
    run();
    file.tensors.push_back({"logits", logits_});
  }
  return file;
}

double StepTimer::seconds_of(int64_t count) {
  synchronize(device_);
  const auto begin = std::chrono::steady_clock::now();
  for (int64_t i = 0; i < count; ++i) run();
  synchronize(device_);
  const std::chrono::duration<double> time = std::chrono::steady_clock::now() - begin;
  return time.count() / static_cast<double>(count);
}

double StepTimer::result() const {
  return step_ ? step_->outcomes(position_ - 1, 1)[0].loss : logits_.slice(0, {1}).item();
}

}  // namespace fovea::bench
