#include "fovea/training/metrics.h"

#include <algorithm>

#include "fovea/core/check.h"

namespace fovea {

int64_t count_correct(const Tensor& logits, const Tensor& labels, int64_t k) {
  check(logits.rank() == 2 && labels.shape() == Shape{logits.shape(0)} && k >= 1, "count_correct: logits ",
        logits, ", labels ", labels, ", k ", k, "; wanted f32 [N, C], i32 [N] and k >= 1");
  const Tensor host_logits = logits.to(Device::cpu()), host_labels = labels.to(Device::cpu());
  const int64_t N = logits.shape(0), C = logits.shape(1);
  const float* x = host_logits.data<float>();
  const int32_t* label = host_labels.data<int32_t>();
  int64_t correct = 0;
  for (int64_t n = 0; n < N; ++n) {
    check(label[n] >= 0 && label[n] < C, "count_correct: label ", label[n], " of row ", n, ", wanted 0 to ",
          C - 1);
    const float* row = x + n * C;
    const float own = row[label[n]];
    int64_t before = 0;  // how many come before the label when sorted by size
    for (int64_t c = 0; c < C; ++c) before += row[c] > own || (row[c] == own && c < label[n]) ? 1 : 0;
    correct += own == own && before < k ? 1 : 0;
  }
  return correct;
}

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) return *middle;
  return (*middle + *std::max_element(values.begin(), middle)) / 2;
}

}  // namespace fovea
