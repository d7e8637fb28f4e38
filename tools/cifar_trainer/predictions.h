#pragma once

#include <string>
#include <vector>

#include "fovea/core/tensor.h"

namespace fovea::cli {

/// What predict found: probabilities [N, classes], the images' names and the classes'.
struct Predictions {
  Tensor probabilities;
  std::vector<std::string> images, class_names;
};

/// CSV (RFC 4180): a row an image: its name, the likeliest class, and the probability of each class.
std::string csv_of_all(const Predictions& predictions);
/// CSV: a row an image: its name, then the likeliest classes, `count` of them, each with its probability.
std::string csv_of_likeliest(const Predictions& predictions, int64_t count);
/// The same to be read: "cat.jpg  cat 91.2%  dog 5.1%", in columns.
std::string table_of_likeliest(const Predictions& predictions, int64_t count);

}  // namespace fovea::cli
