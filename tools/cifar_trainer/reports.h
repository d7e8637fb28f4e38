#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "fovea/models/summary.h"
#include "fovea/training/metrics.h"

namespace fovea::cli {

/// What summary.json says about a run. Losses are mean cross-entropies, accuracies are shares from 0 to 1.
struct RunSummary {
  std::string model;
  int64_t parameters = 0;
  std::string dataset;
  int64_t train_images = 0, validation_images = 0, test_images = 0;
  bool finished = false;  // false: stopped by a signal, and can be resumed
  int64_t epochs = 0, steps = 0;
  double train_loss = 0, train_accuracy = 0;
  std::optional<Evaluation> validation{};  // at the end; none: no such images, or stopped before the first
  double best_validation_accuracy = 0;
  int64_t best_epoch = 0;            // 0: none
  std::optional<Evaluation> test{};  // none: stopped before
  std::string tested_checkpoint{};   // the file's name: best.safetensors or last.safetensors
  double images_per_second = 0;      // median over the training steps of the last part; 0: not measured
  int64_t peak_memory_bytes = 0;
  double seconds = 0;
  std::string device, processor, precision;  // processor: its name; "": unknown
  std::string cpu_kernels;                   // the variant of the CPU's kernels
  int threads = 0, ranks = 1;                // threads: of each rank
  int64_t batch_size = 0, seed = 0;
};

/// What evaluate says.
struct EvaluationReport {
  std::string checkpoint, model, dataset, split;
  bool flip_average = false;  // see EvaluationSettings
  Evaluation evaluation;
  double images_per_second = 0;
  int64_t peak_memory_bytes = 0;
  double seconds = 0;
  std::string device, precision, cpu_kernels;
};

/// What info says.
struct ModelReport {
  std::string model;
  Shape input;
  int64_t classes = 0;
  ModelSummary summary;
};

/// A report as indented JSON, with the version of Fovea. A number that is not finite becomes null.
std::string to_json(const RunSummary& summary);
std::string to_json(const EvaluationReport& report);
std::string to_json(const ModelReport& report);

}  // namespace fovea::cli
