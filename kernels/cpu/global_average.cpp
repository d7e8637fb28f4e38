#include "fovea/kernels/global_average.h"

#include "fovea/kernels/cpu/pixel_sums.h"

namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT {

void global_average_forward(const Tensor& x, Tensor& y) {
  const int64_t N = x.shape(0), H = x.shape(1), W = x.shape(2), C = x.shape(3);
  visit_floating("global_average", x.dtype(), [&]<class T>() {
    using A = Accumulator<T>;
    const T* const from = x.data<T>();
    T* const to = y.data<T>();
    parallel_for_image_vectors<A>(N, C, H * W, [=](int64_t n, int64_t c, auto lanes) {
      const T* const image = from + n * H * W * C + c;
      const auto pixel = [=](int64_t p) { return load(image + p * C, lanes); };
      store(to + n * C + c, lanes, sum_over_pixels<A>(H, W, pixel) / static_cast<A>(H * W));
    });
  });
}

void global_average_backward(const Tensor& dy, Tensor& dx) {
  const int64_t N = dx.shape(0), pixels = dx.shape(1) * dx.shape(2), C = dx.shape(3);
  visit_floating("global_average", dx.dtype(), [&]<class T>() {
    using A = Accumulator<T>;
    const T* const from = dy.data<T>();
    T* const to = dx.data<T>();
    parallel_for_image_vectors<A>(N, C, pixels, [=](int64_t n, int64_t c, auto lanes) {
      const Vec<A> share = load(from + n * C + c, lanes) / static_cast<A>(pixels);
      for (int64_t p = 0; p < pixels; ++p) store(to + (n * pixels + p) * C + c, lanes, share);
    });
  });
}

}  // namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT
