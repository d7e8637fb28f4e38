#include "fovea/kernels/average_pool.h"

#include "fovea/kernels/cpu/rows.h"

namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT {
namespace {

/// y = (sum over the pixels rows x columns of an image [.., width, C]) / size^2, for each channel.
template <class T>
void average_pixels(const T* image, Interval rows, Interval columns, int64_t width, int64_t C, int64_t size,
                    T* y) {
  using A = Accumulator<T>;
  const A area = static_cast<A>(size * size);
  for_each_vector<A>(C, [&](int64_t c, auto lanes) {
    Vec<A> sum{};
    for (int64_t h = rows.begin; h < rows.end; ++h) {
      for (int64_t w = columns.begin; w < columns.end; ++w)
        sum += load(image + (h * width + w) * C + c, lanes);
    }
    store(y + c, lanes, sum / area);
  });
}

}  // namespace

void average_pool_forward(const Tensor& x, const Window& window, Tensor& y) {
  const int64_t H = x.shape(1), W = x.shape(2), C = x.shape(3);
  const int64_t N = y.shape(0), out_h = y.shape(1), out_w = y.shape(2);
  visit_floating("average_pool", x.dtype(), [&]<class T>() {
    const T* const from = x.data<T>();
    T* const to = y.data<T>();
    parallel_for_rows(N * out_h, out_w * C * window.size * window.size, [=](int64_t row) {
      const T* const image = from + row / out_h * H * W * C;
      const Interval rows = window.inputs_of(row % out_h, H);
      for (int64_t j = 0; j < out_w; ++j) {
        average_pixels(image, rows, window.inputs_of(j, W), W, C, window.size, to + (row * out_w + j) * C);
      }
    });
  });
}

void average_pool_backward(const Tensor& dy, const Window& window, Tensor& dx) {
  const int64_t N = dx.shape(0), H = dx.shape(1), W = dx.shape(2), C = dx.shape(3);
  const int64_t out_h = dy.shape(1), out_w = dy.shape(2);
  visit_floating("average_pool", dx.dtype(), [&]<class T>() {
    const T* const from = dy.data<T>();
    T* const to = dx.data<T>();
    parallel_for_rows(N * H, W * C, [=](int64_t row) {
      const T* const image = from + row / H * out_h * out_w * C;
      const Interval rows = window.outputs_of(row % H, out_h);
      for (int64_t w = 0; w < W; ++w) {
        const Interval columns = window.outputs_of(w, out_w);
        average_pixels(image, rows, columns, out_w, C, window.size, to + (row * W + w) * C);
      }
    });
  });
}

}  // namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT
