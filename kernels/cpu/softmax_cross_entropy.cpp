#include "fovea/kernels/softmax_cross_entropy.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "fovea/kernels/cpu/exp.h"
#include "fovea/kernels/cpu/grouped_chunks.h"
#include "fovea/kernels/cpu/rows.h"

namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT {
namespace {

/// The distribution q of a label: row(n, C) is a function of the class.
struct LabelTargets {
  const int32_t* labels;
  double smoothing;

  template <class A>
  auto row(int64_t n, int64_t C) const {
    const A elsewhere = static_cast<A>(smoothing / static_cast<double>(C));
    const A at_label = static_cast<A>(1.0 - smoothing) + elsewhere;
    return [=, label = labels[n]](int64_t c) { return c == label ? at_label : elsewhere; };
  }
};

/// A distribution q that is given.
template <class T>
struct GivenTargets {
  const T* targets;

  template <class A>
  auto row(int64_t n, int64_t C) const {
    return [q = targets + n * C](int64_t c) { return static_cast<A>(q[c]); };
  }
};

/// probabilities = softmax(logits); loss = mean over rows of sum over c of q[c] * (log sum exp - logits[c]).
template <class T, class Targets>
void forward(const Tensor& logits, const Targets& targets, Tensor& loss, Tensor& probabilities) {
  using A = Accumulator<T>;
  const int64_t N = logits.shape(0), C = logits.shape(1);
  const T* const from = logits.data<T>();
  A* const to = probabilities.data<A>();
  std::vector<A> row_losses(static_cast<size_t>(N));
  parallel_for_rows(N, C, [&](int64_t n) {
    const T* const x = from + n * C;
    A* const p = to + n * C;
    A largest = static_cast<A>(x[0]);
    for (int64_t c = 1; c < C; ++c) largest = std::max(largest, static_cast<A>(x[c]));
    for (int64_t c = 0; c < C; ++c) p[c] = exp(static_cast<A>(x[c]) - largest);
    A sum = 0;
    for (int64_t c = 0; c < C; ++c) sum += p[c];
    const A log_sum = std::log(sum);
    const auto q = targets.template row<A>(n, C);
    A row_loss = 0;
    for (int64_t c = 0; c < C; ++c) {
      // A class that is not wanted costs nothing, however unlikely it is.
      if (q(c) != 0) row_loss += q(c) * (log_sum - (static_cast<A>(x[c]) - largest));
      p[c] /= sum;
    }
    row_losses[static_cast<size_t>(n)] = row_loss;
  });
  // Each group's sum is divided by N: a rank, whose N is smaller by a power of two, finds the same digits.
  const GroupedChunks groups(N);
  loss.data<A>()[0] = sum_by_pairs<A>(groups.groups(), [&](int64_t group) {
    A part = 0;
    const Interval rows = groups.units_of_group(group);
    for (int64_t n = rows.begin; n < rows.end; ++n) part += row_losses[static_cast<size_t>(n)];
    return part / static_cast<A>(N);
  });
}

/// dlogits = (p * sum of q - q) * dloss / N.
template <class T, class Targets>
void backward(const Tensor& dloss, const Tensor& probabilities, const Targets& targets, Tensor& dlogits) {
  using A = Accumulator<T>;
  const int64_t N = dlogits.shape(0), C = dlogits.shape(1);
  const A* const from = probabilities.data<A>();
  T* const to = dlogits.data<T>();
  const A factor = dloss.data<A>()[0] / static_cast<A>(N);
  parallel_for_rows(N, C, [&](int64_t n) {
    const auto q = targets.template row<A>(n, C);
    A mass = 0;
    for (int64_t c = 0; c < C; ++c) mass += q(c);
    for (int64_t c = 0; c < C; ++c) to[n * C + c] = static_cast<T>((from[n * C + c] * mass - q(c)) * factor);
  });
}

}  // namespace

void softmax_cross_entropy_forward(const Tensor& logits, const Tensor& labels, double smoothing, Tensor& loss,
                                   Tensor& probabilities) {
  const int64_t C = logits.shape(1);
  const int32_t* const classes = labels.data<int32_t>();
  for (int64_t n = 0; n < labels.size(); ++n) {
    check(classes[n] >= 0 && classes[n] < C, "softmax_cross_entropy: the label of row ", n, " is ",
          classes[n], ", wanted 0 to ", C - 1, " for C = ", C, " classes");
  }
  visit_floating("softmax_cross_entropy", logits.dtype(), [&]<class T>() {
    forward<T>(logits, LabelTargets{classes, smoothing}, loss, probabilities);
  });
}

void softmax_cross_entropy_backward(const Tensor& dloss, const Tensor& probabilities, const Tensor& labels,
                                    double smoothing, Tensor& dlogits) {
  visit_floating("softmax_cross_entropy", dlogits.dtype(), [&]<class T>() {
    backward<T>(dloss, probabilities, LabelTargets{labels.data<int32_t>(), smoothing}, dlogits);
  });
}

void softmax_cross_entropy_soft_forward(const Tensor& logits, const Tensor& targets, Tensor& loss,
                                        Tensor& probabilities) {
  visit_floating("softmax_cross_entropy_soft", logits.dtype(), [&]<class T>() {
    forward<T>(logits, GivenTargets<T>{targets.data<T>()}, loss, probabilities);
  });
}

void softmax_cross_entropy_soft_backward(const Tensor& dloss, const Tensor& probabilities,
                                         const Tensor& targets, Tensor& dlogits) {
  visit_floating("softmax_cross_entropy_soft", dlogits.dtype(), [&]<class T>() {
    backward<T>(dloss, probabilities, GivenTargets<T>{targets.data<T>()}, dlogits);
  });
}

}  // namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT
