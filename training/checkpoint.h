#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "fovea/core/safetensors.h"
#include "fovea/data/image_set.h"
#include "fovea/kernels/conv_choices.h"
#include "fovea/layers/module.h"
#include "fovea/training/metrics.h"

#pragma GCC visibility push(default)
namespace fovea {

/// Where a training run stands. All random numbers are functions of (seed, epoch, sample), so these numbers
/// are the state of every generator as well.
struct TrainingProgress {
  int64_t step = 0;        // optimiser steps done
  int64_t epoch = 0;       // epochs done, evaluation included
  int64_t batch = 0;       // batches done in the epoch that is under way
  uint64_t seed = 0;       // of shuffling and augmentation
  int64_t batch_size = 0;  // images in a step
  int64_t images = 0;      // images in the training set
  double loss_sum = 0;     // of the losses of the batches done in this epoch
  int64_t correct = 0;     // images of those batches that were classified correctly
  double train_loss = 0;   // of the last epoch done
  double train_accuracy = 0;
  std::optional<Evaluation> evaluation{};  // after the last epoch done
  double best_accuracy = 0;                // of the evaluations so far that were finite
  int64_t best_epoch = 0;                  // the epoch (1, 2, ...) after which it was reached; 0: none yet
};

/// All that a checkpoint file holds. Times, paths and numbers of threads are not in it, so that the same run
/// gives the same bytes.
struct Checkpoint {
  std::vector<NamedTensor> model;               // parameters and buffers, under their paths
  std::vector<NamedTensor> optimiser;           // Optimiser::state; empty for weights alone
  ImageNormalisation normalisation;             // of the images that the model was trained on
  std::map<std::string, std::string> info;      // what the program adds: how to build the model, class names
  std::map<std::string, std::string> settings;  // describe(TrainingSettings); empty for weights alone
  TrainingProgress progress;
  kernels::ConvChoices convolutions;  // what the run's convolutions were computed by; empty on the CPU
  double step_seconds = 0;            // median of the steps done in this epoch; 0: unknown. Not stored
  std::string where;                  // the file, for messages; not stored
  std::vector<OtherTensor> others{};  // of the model, in a file that another program wrote; not stored
};

/// CheckpointError if the file is damaged or no checkpoint of Fovea.
Checkpoint read_checkpoint(const std::string& path);
/// Whole or not at all, see write_safetensors. Error, and nothing is written, if a weight or a number of the
/// optimiser is not finite: nothing could go on from there.
void write_checkpoint(const std::string& path, const Checkpoint& checkpoint);

/// A normalisation as texts of a file's metadata, "normalisation.mean.0" and so on: written, looked for, and
/// read. CheckpointError, which names `where`, for what is missing or no number, a mean that is not finite
/// and a deviation that is not above 0.
void add_normalisation(const ImageNormalisation& normalisation, std::map<std::string, std::string>& texts);
bool has_normalisation(const std::map<std::string, std::string>& texts);
ImageNormalisation read_normalisation(const std::map<std::string, std::string>& texts,
                                      const std::string& where);

/// For check_finite of what was read.
inline constexpr const char* kAdviceOnFile = "nothing was loaded; take an earlier checkpoint";

/// Every parameter and buffer of a module under its path; shares the storage.
std::vector<NamedTensor> weights_of(Module& module);
/// Copies numbers into the parameters and buffers, see copy_by_name; returns how many were converted exactly
/// from a narrower dtype, such as bf16. CheckpointError names what is missing, unexpected, or of another
/// shape or dtype, and `where`, an Error what is not finite; then nothing has changed.
size_t load_weights(Module& module, std::span<const NamedTensor> weights, const std::string& where,
                    std::span<const OtherTensor> others = {});

}  // namespace fovea
#pragma GCC visibility pop
