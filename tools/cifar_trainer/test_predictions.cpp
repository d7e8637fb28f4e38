#include "test_predictions.h"

#include <fmt/format.h>
#include <algorithm>
#include <charconv>
#include <cmath>
#include <sstream>

namespace fovea::cli {
namespace {

constexpr const char* kHeader = "image,label,class,probability";

}  // namespace

void TestPredictions::add(const Tensor& logits, const Tensor& labels_of_set) {
  const std::vector<double> all = logits.to_doubles();
  const int64_t count = logits.shape(0), C = logits.shape(1);
  const auto* const label = labels_of_set.data<int32_t>();
  for (int64_t n = 0; n < count; ++n) {
    const auto begin = all.begin() + n * C;
    const auto largest = std::max_element(begin, begin + C);
    double sum = 0;
    for (auto logit = begin; logit != begin + C; ++logit) sum += std::exp(*logit - *largest);
    labels.push_back(label[size()]);
    classes.push_back(largest - begin);
    probabilities.push_back(static_cast<float>(1 / sum));
  }
}

double TestPredictions::accuracy() const {
  int64_t correct = 0;
  for (size_t n = 0; n < labels.size(); ++n) correct += labels[n] == classes[n] ? 1 : 0;
  return labels.empty() ? 0 : static_cast<double>(correct) / static_cast<double>(size());
}

std::vector<std::vector<int64_t>> TestPredictions::confusion(int64_t count) const {
  std::vector<std::vector<int64_t>> counts(static_cast<size_t>(count),
                                           std::vector<int64_t>(static_cast<size_t>(count)));
  for (size_t n = 0; n < labels.size(); ++n)
    ++counts.at(static_cast<size_t>(labels[n])).at(static_cast<size_t>(classes[n]));
  return counts;
}

std::vector<int64_t> TestPredictions::mistakes(int64_t most) const {
  std::vector<int64_t> images;
  for (int64_t n = 0; n < size(); ++n) {
    if (labels[static_cast<size_t>(n)] != classes[static_cast<size_t>(n)]) images.push_back(n);
  }
  std::stable_sort(images.begin(), images.end(), [this](int64_t a, int64_t b) {
    return probabilities[static_cast<size_t>(a)] > probabilities[static_cast<size_t>(b)];
  });
  images.resize(static_cast<size_t>(std::min(most, std::ssize(images))));
  return images;
}

std::string to_csv(const TestPredictions& predictions) {
  std::string text = std::string(kHeader) + "\n";
  for (size_t n = 0; n < predictions.labels.size(); ++n) {
    text += fmt::format("{},{},{},{}\n", n, predictions.labels[n], predictions.classes[n],
                        predictions.probabilities[n]);
  }
  return text;
}

std::optional<TestPredictions> parse_predictions(const std::string& csv, int64_t classes) {
  std::istringstream lines(csv);
  lines.exceptions(std::ios_base::badbit);  // without memory it would end early
  std::string line;
  if (!csv.ends_with('\n') || !std::getline(lines, line) || line != kHeader) return std::nullopt;
  TestPredictions predictions;
  while (std::getline(lines, line)) {
    const char* place = line.data();
    const char* const end = line.data() + line.size();
    const auto read = [&](auto& number) {
      const auto [after, error] = std::from_chars(place, end, number);
      const bool is_last = after == end;
      place = is_last ? end : after + 1;
      return error == std::errc() && (is_last || *after == ',');
    };
    int64_t image = 0, label = 0, predicted = 0;
    float probability = 0;
    const bool is_row = read(image) && read(label) && read(predicted) && read(probability) && place == end;
    const auto is_class = [classes](int64_t c) { return c >= 0 && c < classes; };
    if (!is_row || image != predictions.size() || !is_class(label) || !is_class(predicted))
      return std::nullopt;
    predictions.labels.push_back(label);
    predictions.classes.push_back(predicted);
    predictions.probabilities.push_back(probability);
  }
  return predictions;
}

}  // namespace fovea::cli
