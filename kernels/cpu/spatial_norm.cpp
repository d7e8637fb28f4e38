#include "fovea/kernels/spatial_norm.h"

#include <cmath>

#include "fovea/kernels/cpu/pixel_sums.h"

namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT {

void spatial_norm_forward(const Tensor& x, Tensor& y, Tensor& mean, Tensor& rstd) {
  const int64_t N = x.shape(0), H = x.shape(1), W = x.shape(2), C = x.shape(3), pixels = H * W;
  visit_floating("spatial_norm", x.dtype(), [&]<class T>() {
    using A = Accumulator<T>;
    constexpr A kEpsilon = static_cast<A>(1e-5);
    const T* const from = x.data<T>();
    T* const to = y.data<T>();
    A* const means = mean.data<A>();
    A* const rstds = rstd.data<A>();
    parallel_for_image_vectors<A>(N, C, pixels, [=](int64_t n, int64_t c, auto lanes) {
      const T* const image = from + n * pixels * C + c;
      // Differences from the first pixel: a mean far from 0 must not cost the deviation its digits.
      const Vec<A> shift = load(image, lanes);
      const auto shifted = [=](int64_t p) { return load(image + p * C, lanes) - shift; };
      const Vec<A> shifted_mean = sum_over_pixels<A>(H, W, shifted) / static_cast<A>(pixels);
      const auto square = [=](int64_t p) {
        const Vec<A> difference = shifted(p) - shifted_mean;
        return difference * difference;
      };
      Vec<A> r = sum_over_pixels<A>(H, W, square) / static_cast<A>(pixels) + kEpsilon;
      for (int lane = 0; lane < kLanes<A>; ++lane) r[lane] = A(1) / std::sqrt(r[lane]);
      for (int64_t p = 0; p < pixels; ++p) {
        store(to + (n * pixels + p) * C + c, lanes, (shifted(p) - shifted_mean) * r);
      }
      store(means + n * C + c, lanes, shift + shifted_mean);
      store(rstds + n * C + c, lanes, r);
    });
  });
}

void spatial_norm_backward(const Tensor& dy, const Tensor& x, const Tensor& mean, const Tensor& rstd,
                           Tensor& dx) {
  const int64_t N = x.shape(0), H = x.shape(1), W = x.shape(2), C = x.shape(3), pixels = H * W;
  visit_floating("spatial_norm", x.dtype(), [&]<class T>() {
    using A = Accumulator<T>;
    const T* const gradients = dy.data<T>();
    const T* const from = x.data<T>();
    const A* const means = mean.data<A>();
    const A* const rstds = rstd.data<A>();
    T* const to = dx.data<T>();
    parallel_for_image_vectors<A>(N, C, pixels, [=](int64_t n, int64_t c, auto lanes) {
      const int64_t image = n * pixels * C + c;
      const Vec<A> m = load(means + n * C + c, lanes), r = load(rstds + n * C + c, lanes);
      const auto gradient = [=](int64_t p) { return load(gradients + image + p * C, lanes); };
      const auto z = [=](int64_t p) { return (load(from + image + p * C, lanes) - m) * r; };
      const auto product = [=](int64_t p) { return gradient(p) * z(p); };
      const Vec<A> mean_dy = sum_over_pixels<A>(H, W, gradient) / static_cast<A>(pixels);
      const Vec<A> mean_dy_z = sum_over_pixels<A>(H, W, product) / static_cast<A>(pixels);
      for (int64_t p = 0; p < pixels; ++p) {
        store(to + image + p * C, lanes, r * (gradient(p) - mean_dy - z(p) * mean_dy_z));
      }
    });
  });
}

}  // namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT
