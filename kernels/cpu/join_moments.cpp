#include "fovea/kernels/join_moments.h"

#include <vector>

#include "fovea/kernels/cpu/moments.h"

namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT {

void join_by_pairs(int64_t C, std::vector<double> rows, double* means, double* variances) {
  add_by_pairs(static_cast<int64_t>(rows.size()), [&](int64_t to, int64_t from) {
    double& count = rows[static_cast<size_t>(to)];
    const double other = rows[static_cast<size_t>(from)], share = other / (count + other);
    for (int64_t c = 0; c < C; ++c) {
      double &mean = means[to * C + c], &variance = variances[to * C + c];
      const double delta = means[from * C + c] - mean;
      mean += share * delta;
      // Without a difference of variances: infinite ones stay what they are.
      variance =
          (1 - share) * variance + share * variances[from * C + c] + share * (1 - share) * delta * delta;
    }
    count += other;
  });
}

void join_moments(const Tensor& parts, Tensor& mean, Tensor& variance) {
  check(parts.dtype() == Dtype::f64, "join_moments: parts is ", parts, ", wanted f64 on the CPU");
  const int64_t R = parts.shape(0), C = parts.shape(2);
  std::vector<double> means, variances;
  for (int64_t r = 0; r < R; ++r) {
    const double* const part = parts.data<double>() + r * 2 * C;
    means.insert(means.end(), part, part + C);
    variances.insert(variances.end(), part + C, part + 2 * C);
  }
  join_by_pairs(C, std::vector<double>(static_cast<size_t>(R), 1.0), means.data(), variances.data());
  put_numbers(means.data(), mean);
  put_numbers(variances.data(), variance);
}

}  // namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT
