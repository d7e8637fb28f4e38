#include "predictions.h"

#include <fmt/format.h>
#include <algorithm>
#include <numeric>

#include "output.h"

namespace fovea::cli {
namespace {

// A field of CSV (RFC 4180).
std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? "\"\"" : std::string(1, c);
  return quoted + "\"";
}

std::span<const float> row_of(const Predictions& predictions, size_t n) {
  const size_t classes = predictions.class_names.size();
  return predictions.probabilities.span<float>().subspan(n * classes, classes);
}

// The first `count` classes, the likeliest first; of two that are as likely the first.
std::vector<size_t> likeliest(std::span<const float> row, int64_t count) {
  std::vector<size_t> order(row.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return row[a] > row[b]; });
  order.resize(static_cast<size_t>(count));
  return order;
}

// How many columns a text takes: its characters.
size_t width_of(const std::string& text) {
  return static_cast<size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

}  // namespace

std::string csv_of_all(const Predictions& predictions) {
  std::string text = "image,class";
  for (const std::string& name : predictions.class_names) text += fmt::format(",{}", csv_field(name));
  text += "\n";
  for (size_t n = 0; n < predictions.images.size(); ++n) {
    const auto row = row_of(predictions, n);
    const auto best = static_cast<size_t>(std::max_element(row.begin(), row.end()) - row.begin());
    text += fmt::format("{},{}", csv_field(predictions.images[n]), csv_field(predictions.class_names[best]));
    for (const float probability : row) text += fmt::format(",{:.6f}", probability);
    text += "\n";
  }
  return text;
}

std::string csv_of_likeliest(const Predictions& predictions, int64_t count) {
  std::string text = "image";
  for (int64_t k = 1; k <= count; ++k) text += fmt::format(",class{},probability{}", k, k);
  text += "\n";
  for (size_t n = 0; n < predictions.images.size(); ++n) {
    const auto row = row_of(predictions, n);
    text += csv_field(predictions.images[n]);
    for (const size_t k : likeliest(row, count))
      text += fmt::format(",{},{:.6f}", csv_field(predictions.class_names[k]), row[k]);
    text += "\n";
  }
  return text;
}

std::string table_of_likeliest(const Predictions& predictions, int64_t count) {
  std::vector<std::vector<std::string>> rows;
  std::vector<size_t> widths(static_cast<size_t>(count) + 1);
  for (size_t n = 0; n < predictions.images.size(); ++n) {
    const auto row = row_of(predictions, n);
    std::vector<std::string> cells = {on_one_line(predictions.images[n])};
    for (const size_t k : likeliest(row, count))
      cells.push_back(fmt::format("{} {:.1f}%", on_one_line(predictions.class_names[k]), 100 * row[k]));
    for (size_t i = 0; i < cells.size(); ++i) widths[i] = std::max(widths[i], width_of(cells[i]));
    rows.push_back(std::move(cells));
  }
  std::string text;
  for (const auto& cells : rows) {
    for (size_t i = 0; i + 1 < cells.size(); ++i)
      text += cells[i] + std::string(widths[i] - width_of(cells[i]) + 2, ' ');
    text += cells.back() + "\n";
  }
  return text;
}

}  // namespace fovea::cli
