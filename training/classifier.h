#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "fovea/data/image_set.h"
#include "fovea/layers/module.h"
#include "fovea/models/attention_maps.h"
#include "fovea/training/checkpoint.h"
#include "fovea/training/metrics.h"
#include "fovea/training/training_settings.h"

namespace fovea {
class Batches;  // internal: not exported from libfovea.so
class TrainingRun;
}  // namespace fovea

#pragma GCC visibility push(default)
namespace fovea {

/// A model that turns images into classes: trains it, evaluates it, uses it.
///
/// Threads: the const functions change nothing, and may be called on one classifier from several threads at
/// once: each call gives the bits that it gives alone. The others (train, load, and what changes the model)
/// want it for themselves. Classifiers with models of their own do not disturb each other, not even in
/// training; but tf32 on a CUDA device is a setting of the process (set_tf32).
class Classifier {
 public:
  /// `info` goes into every checkpoint (the caller's: how to build the model again, class names, ...).
  Classifier(std::unique_ptr<Model> model, const ImageNormalisation& normalisation,
             std::map<std::string, std::string> info = {});
  ~Classifier();
  Classifier(Classifier&&) noexcept;
  Classifier& operator=(Classifier&&) noexcept;

  /// Trains on `data`; with `evaluation_set`, whatever the caller holds out, evaluates on that after every
  /// epoch, and at the end where max_steps ended the run inside an epoch. The last incomplete batch of an
  /// epoch is dropped. A loss, gradient or running statistic that is not finite is an Error that names where
  /// it arose; weights and running statistics are then those of before that step. UsageError in a hook of a
  /// run or an evaluation of this classifier.
  TrainingResult train(const ImageSet& data, const TrainingSettings& settings,
                       const ImageSet* evaluation_set = nullptr);

  /// Over all images, unaugmented, with running statistics.
  Evaluation evaluate(const ImageSet& data, const EvaluationSettings& settings = {}) const;

  /// Softmax of the logits. images: u8 [N, H, W, 3] -> f32 [N, classes]; fewer rows if stopped.
  Tensor predict_probabilities(const Tensor& images, const EvaluationSettings& settings = {}) const;

  /// The masks of the attention modules, and the features before and after them, of images u8 [N, H, W, 3];
  /// see attention_maps, which computes all of them at once.
  std::vector<AttentionMaps> attention_maps(const Tensor& images) const;
  /// The weights, and the state of the run that goes on or was the last; may be called from any hook.
  /// Shares the storage.
  Checkpoint checkpoint() const;
  /// write_checkpoint(path, checkpoint()), which refuses numbers that are not finite.
  void save(const std::string& path) const;
  /// Takes the weights (not the normalisation) of a checkpoint; see load_weights. In a hook the run goes on
  /// with them, and with its own moments of the optimiser; else what checkpoint has of the last run is gone.
  void load(const Checkpoint& checkpoint);

  Model& model() { return *model_; }
  const ImageNormalisation& normalisation() const { return normalisation_; }

 private:
  /// The batches of images u8 [N, H, W, 3], for the model.
  Batches batches_of(const char* operation, const Tensor& images, int64_t batch_size) const;

  std::unique_ptr<Model> model_;
  ImageNormalisation normalisation_;
  std::map<std::string, std::string> info_;
  std::unique_ptr<TrainingRun> run_;  // the training run that goes on, or the last
};

}  // namespace fovea
#pragma GCC visibility pop
