#include "fovea/training/metrics.h"

#include <algorithm>

#include "fovea/core/check.h"
#include "fovea/kernels/count_correct.h"

namespace fovea {

int64_t count_correct(const Tensor& logits, const Tensor& labels, int64_t k) {
  check(logits.rank() == 2 && labels.shape() == Shape{logits.shape(0)} && k >= 1, "count_correct: logits ",
        logits, ", labels ", labels, ", k ", k, "; wanted [N, C], i32 [N] and k >= 1");
  Tensor correct = Tensor::zeros({}, Dtype::i64, logits.device());
  kernels::count_correct(logits, labels, k, correct);
  return static_cast<int64_t>(correct.item());
}

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) return *middle;
  return (*middle + *std::max_element(values.begin(), middle)) / 2;
}

}  // namespace fovea
