#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "fovea/core/tensor.h"

namespace fovea::cli {

/// What a network took the images of a test set for, an entry an image.
struct TestPredictions {
  std::vector<int64_t> labels, classes;  // what it is, and the class of the largest logit
  std::vector<float> probabilities;      // of that class

  int64_t size() const { return static_cast<int64_t>(labels.size()); }
  /// The next images, of which `labels`, i32 [N], are those of the whole set. logits: [n, classes]
  void add(const Tensor& logits, const Tensor& labels_of_set);
  /// Share of the images that were taken for what they are; 0 without any.
  double accuracy() const;
  /// [classes][classes]: how many images of a class (the row) were taken for each. `count` is above all
  /// labels.
  std::vector<std::vector<int64_t>> confusion(int64_t count) const;
  /// The images that were taken for something else, those first of which the network was surest.
  std::vector<int64_t> mistakes(int64_t most) const;
};

/// predictions.csv: image,label,class,probability, the first two and the class as numbers from 0.
std::string to_csv(const TestPredictions& predictions);
/// What to_csv has written; nothing where the text is no such table of `classes` classes.
std::optional<TestPredictions> parse_predictions(const std::string& csv, int64_t classes);

}  // namespace fovea::cli
