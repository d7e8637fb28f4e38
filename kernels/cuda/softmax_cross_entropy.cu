#include "fovea/kernels/softmax_cross_entropy.h"

#include <limits>

#include "fovea/core/tensor.h"
#include "fovea/kernels/cuda/row_groups.h"
#include "fovea/kernels/reduce.h"

namespace fovea::kernels::cuda {
namespace {

constexpr int kThreads = 512;    // of a block of the forward pass
constexpr int kRowsOfGroup = 4;  // of a group of lanes there
constexpr int64_t kClasses = 4;  // of a lane, if there are no more than 32 lanes can share

/// The distribution q of a label: row(n, C) is a function of the class. Not a number where there is no such
/// class, so that loss and gradient are not, either.
struct LabelTargets {
  const int32_t* labels;
  float at_label, elsewhere;

  LabelTargets(const Tensor& labels_, double smoothing, int64_t C)
      : labels(labels_.data<int32_t>()),
        at_label(static_cast<float>(1.0 - smoothing + smoothing / static_cast<double>(C))),
        elsewhere(static_cast<float>(smoothing / static_cast<double>(C))) {}

  struct Row {
    int64_t label;
    float at_label, elsewhere;
    __device__ float operator()(int64_t c) const { return c == label ? at_label : elsewhere; }
  };
  __device__ Row row(int64_t n, int64_t C) const {
    const int64_t label = labels[n];
    const float nan = std::numeric_limits<float>::quiet_NaN();
    return label >= 0 && label < C ? Row{label, at_label, elsewhere} : Row{label, nan, nan};
  }
};

/// A distribution q that is given.
template <class T>
struct GivenTargets {
  const T* targets;

  struct Row {
    const T* q;
    __device__ float operator()(int64_t c) const { return to_float(q[c]); }
  };
  __device__ Row row(int64_t n, int64_t C) const { return {targets + n * C}; }
};

/// probabilities = softmax(logits); losses[block] = the sum over the block's rows, divided by N, of the sum
/// of q * (log sum exp - logits). A group of lanes takes a row, three times over; only the first comes from
/// memory.
template <class T, class Targets>
__global__ void __launch_bounds__(kThreads)
    softmax_cross_entropy_forward_kernel(int64_t N, int64_t C, int lanes, const T* logits, Targets targets,
                                         float* losses, float* probabilities) {
  const int lane = static_cast<int>(threadIdx.x) % lanes, groups = kThreads / lanes;
  int64_t n = int64_t{blockIdx.x} * kRowsOfGroup * groups + static_cast<int>(threadIdx.x) / lanes;
  float loss = 0;
  for (int i = 0; i < kRowsOfGroup; ++i, n += groups) {
    const int64_t end = n < N ? C : 0;  // without a row, a group takes part in the sums alone
    const T* const x = logits + n * C;
    float largest = -std::numeric_limits<float>::infinity();
    for (int64_t c = lane; c < end; c += lanes) largest = fmaxf(largest, to_float(x[c]));
    largest = group_max(largest, lanes);
    float sum = 0;
    for (int64_t c = lane; c < end; c += lanes) sum += expf(to_float(x[c]) - largest);
    sum = group_sum(sum, lanes);
    if (n >= N) continue;
    const auto q = targets.row(n, C);
    const float log_sum = logf(sum), scale = 1.0f / sum;
    for (int64_t c = lane; c < end; c += lanes) {
      const float power = to_float(x[c]) - largest, share = q(c);
      // A class that is not wanted costs nothing, however unlikely it is.
      if (share != 0.0f) loss += share * (log_sum - power);
      probabilities[n * C + c] = scale * expf(power);
    }
  }
  loss = block_sum<kThreads>(loss);
  if (threadIdx.x == 0) losses[blockIdx.x] = loss / static_cast<float>(N);
}

/// dlogits = (p * sum of q - q) * dloss / N. A group of lanes takes a row; one pass over p, two over q.
template <class T, class Targets>
__global__ void softmax_cross_entropy_backward_kernel(int64_t N, int64_t C, int lanes, const float* dloss,
                                                      const float* probabilities, Targets targets,
                                                      T* dlogits) {
  const float factor = dloss[0] / static_cast<float>(N);
  for_each_row_of_group(N, lanes, [&](int64_t n, int lane, bool is_inside) {
    float mass = 0;
    if (is_inside) {
      const auto q = targets.row(n, C);
      for (int64_t c = lane; c < C; c += lanes) mass += q(c);
    }
    mass = group_sum(mass, lanes);
    if (!is_inside) return;
    const auto q = targets.row(n, C);
    for (int64_t c = lane; c < C; c += lanes) {
      dlogits[n * C + c] = from_float<T>((probabilities[n * C + c] * mass - q(c)) * factor);
    }
  });
}

template <class T, class Targets>
void forward(const char* operation, const Tensor& logits, const Targets& targets, Tensor& loss,
             Tensor& probabilities) {
  const int64_t N = logits.shape(0), C = logits.shape(1);
  const int lanes = lanes_for((C + kClasses - 1) / kClasses);
  const int64_t rows = int64_t{kRowsOfGroup} * kThreads / lanes, blocks = (N + rows - 1) / rows;
  const Grid grid{dim3(static_cast<unsigned>(blocks)), dim3(kThreads)};
  Tensor losses = blocks == 1 ? loss : Tensor::empty({blocks}, Dtype::f32, loss.device());
  launch(operation, softmax_cross_entropy_forward_kernel<T, Targets>, grid, N, C, lanes, logits.data<T>(),
         targets, losses.data<float>(), probabilities.data<float>());
  if (blocks > 1) {
    Tensor sum = loss.reshape({1, 1});
    reduce_forward(losses.reshape({1, blocks, 1}), /*factor=*/1.0, sum);
  }
}

template <class T, class Targets>
void backward(const char* operation, const Tensor& dloss, const Tensor& probabilities, const Targets& targets,
              Tensor& dlogits) {
  const int64_t N = dlogits.shape(0), C = dlogits.shape(1);
  const int lanes = lanes_for((C + kClasses - 1) / kClasses);
  launch(operation, softmax_cross_entropy_backward_kernel<T, Targets>, grid_for(N * lanes), N, C, lanes,
         dloss.data<float>(), probabilities.data<float>(), targets, dlogits.data<T>());
}

}  // namespace

void softmax_cross_entropy_forward(const Tensor& logits, const Tensor& labels, double smoothing, Tensor& loss,
                                   Tensor& probabilities) {
  visit_device_floating("softmax_cross_entropy", logits.dtype(), [&]<class T>() {
    forward<T>("softmax_cross_entropy", logits, LabelTargets(labels, smoothing, logits.shape(1)), loss,
               probabilities);
  });
}

void softmax_cross_entropy_backward(const Tensor& dloss, const Tensor& probabilities, const Tensor& labels,
                                    double smoothing, Tensor& dlogits) {
  visit_device_floating("softmax_cross_entropy", dlogits.dtype(), [&]<class T>() {
    backward<T>("softmax_cross_entropy", dloss, probabilities,
                LabelTargets(labels, smoothing, dlogits.shape(1)), dlogits);
  });
}

void softmax_cross_entropy_soft_forward(const Tensor& logits, const Tensor& targets, Tensor& loss,
                                        Tensor& probabilities) {
  visit_device_floating("softmax_cross_entropy_soft", logits.dtype(), [&]<class T>() {
    forward<T>("softmax_cross_entropy_soft", logits, GivenTargets<T>{targets.data<T>()}, loss, probabilities);
  });
}

void softmax_cross_entropy_soft_backward(const Tensor& dloss, const Tensor& probabilities,
                                         const Tensor& targets, Tensor& dlogits) {
  visit_device_floating("softmax_cross_entropy_soft", dlogits.dtype(), [&]<class T>() {
    backward<T>("softmax_cross_entropy_soft", dloss, probabilities, GivenTargets<T>{targets.data<T>()},
                dlogits);
  });
}

}  // namespace fovea::kernels::cuda
