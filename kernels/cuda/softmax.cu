#include "fovea/kernels/softmax.h"

#include <limits>

#include "fovea/kernels/cuda/row_groups.h"

namespace fovea::kernels::cuda {
namespace {

struct Softmax {
  static __device__ float of_sum(float sum) { return 1.0f / sum; }
  static __device__ float forward(float power, float of_sum) { return expf(power) * of_sum; }
  static __device__ float term(float dy, float y) { return dy * y; }
  static __device__ float backward(float dy, float y, float total) { return y * (dy - total); }
};

struct LogSoftmax {
  static __device__ float of_sum(float sum) { return logf(sum); }
  static __device__ float forward(float power, float of_sum) { return power - of_sum; }
  static __device__ float term(float dy, float) { return dy; }
  static __device__ float backward(float dy, float y, float total) { return dy - expf(y) * total; }
};

/// A group of lanes takes a row: the largest, the sum of exp(x - largest), then y. Of its three passes over x
/// the first comes from memory.
template <int kWidth, class Operation, class T>
__global__ void softmax_forward_kernel(PackedRows rows, const T* x, T* y) {
  for_each_row_of_group(rows, [&](int64_t first, int64_t end) {
    float largest = -std::numeric_limits<float>::infinity(), sum = 0;
    for (int64_t pack = first; pack < end; pack += rows.lanes) {
      const Floats<kWidth> numbers = load<kWidth>(x + pack * kWidth);
#pragma unroll
      for (int i = 0; i < kWidth; ++i) largest = fmaxf(largest, numbers[i]);
    }
    largest = group_max(largest, rows.lanes);
    for (int64_t pack = first; pack < end; pack += rows.lanes) {
      const Floats<kWidth> numbers = load<kWidth>(x + pack * kWidth);
#pragma unroll
      for (int i = 0; i < kWidth; ++i) sum += expf(numbers[i] - largest);
    }
    const float of_sum = Operation::of_sum(group_sum(sum, rows.lanes));
    for (int64_t pack = first; pack < end; pack += rows.lanes) {
      Floats<kWidth> numbers = load<kWidth>(x + pack * kWidth);
#pragma unroll
      for (int i = 0; i < kWidth; ++i) numbers[i] = Operation::forward(numbers[i] - largest, of_sum);
      store<kWidth>(y + pack * kWidth, numbers);
    }
  });
}

/// A group of lanes takes a row: the sum of its terms, then dx. Of its two passes over dy and y the first
/// comes from memory.
template <int kWidth, class Operation, class T>
__global__ void softmax_backward_kernel(PackedRows rows, const T* dy, const T* y, T* dx) {
  for_each_row_of_group(rows, [&](int64_t first, int64_t end) {
    float total = 0;
    for (int64_t pack = first; pack < end; pack += rows.lanes) {
      const Floats<kWidth> gradient = load<kWidth>(dy + pack * kWidth),
                           output = load<kWidth>(y + pack * kWidth);
#pragma unroll
      for (int i = 0; i < kWidth; ++i) total += Operation::term(gradient[i], output[i]);
    }
    total = group_sum(total, rows.lanes);
    for (int64_t pack = first; pack < end; pack += rows.lanes) {
      Floats<kWidth> numbers = load<kWidth>(dy + pack * kWidth);
      const Floats<kWidth> output = load<kWidth>(y + pack * kWidth);
#pragma unroll
      for (int i = 0; i < kWidth; ++i) numbers[i] = Operation::backward(numbers[i], output[i], total);
      store<kWidth>(dx + pack * kWidth, numbers);
    }
  });
}

template <class Operation>
void forward(const char* operation, const Tensor& x, Tensor& y) {
  if (x.size() == 0) return;
  visit_device_floating(operation, x.dtype(), [&]<class T>() {
    const auto run = [&]<int kWidth>() {
      const PackedRows rows(x.size(), x.shape(-1), kWidth);
      launch(operation, softmax_forward_kernel<kWidth, Operation, T>, rows.grid(), rows, x.data<T>(),
             y.data<T>());
    };
    visit_width<T>(x.shape(-1), run, x.data<T>(), y.data<T>());
  });
}

template <class Operation>
void backward(const char* operation, const Tensor& dy, const Tensor& y, Tensor& dx) {
  if (y.size() == 0) return;
  visit_device_floating(operation, dy.dtype(), [&]<class T>() {
    const auto run = [&]<int kWidth>() {
      const PackedRows rows(y.size(), y.shape(-1), kWidth);
      launch(operation, softmax_backward_kernel<kWidth, Operation, T>, rows.grid(), rows, dy.data<T>(),
             y.data<T>(), dx.data<T>());
    };
    visit_width<T>(y.shape(-1), run, dy.data<T>(), y.data<T>(), dx.data<T>());
  });
}

}  // namespace

void softmax_forward(const Tensor& x, Tensor& y) {
  forward<Softmax>("softmax", x, y);
}

void softmax_backward(const Tensor& dy, const Tensor& y, Tensor& dx) {
  backward<Softmax>("softmax", dy, y, dx);
}

void log_softmax_forward(const Tensor& x, Tensor& y) {
  forward<LogSoftmax>("log_softmax", x, y);
}

void log_softmax_backward(const Tensor& dy, const Tensor& y, Tensor& dx) {
  backward<LogSoftmax>("log_softmax", dy, y, dx);
}

}  // namespace fovea::kernels::cuda
