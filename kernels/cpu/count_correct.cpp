#include "fovea/kernels/count_correct.h"

namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT {

void count_correct(const Tensor& logits, const Tensor& labels, int64_t k, Tensor& correct) {
  const int64_t N = logits.shape(0), C = logits.shape(1);
  const int32_t* label = labels.data<int32_t>();
  visit_floating("count_correct", logits.dtype(), [&]<class T>() {
    using A = Accumulator<T>;
    int64_t count = 0;
    for (int64_t n = 0; n < N; ++n) {
      check(label[n] >= 0 && label[n] < C, "count_correct: label ", label[n], " of row ", n, ", wanted 0 to ",
            C - 1);
      const T* row = logits.data<T>() + n * C;
      const A own = static_cast<A>(row[label[n]]);
      int64_t before = 0;  // how many come before the label when sorted by size
      for (int64_t c = 0; c < C; ++c) {
        const A other = static_cast<A>(row[c]);
        before += other > own || (other == own && c < label[n]) ? 1 : 0;
      }
      count += own == own && before < k ? 1 : 0;
    }
    correct.data<int64_t>()[0] += count;
  });
}

}  // namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT
