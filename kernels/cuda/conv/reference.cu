#include "fovea/kernels/cuda/conv/reference.h"

#include "fovea/kernels/cuda/convert.h"
#include "fovea/kernels/cuda/launch.h"

// Sums are kept in two levels, one image or one tap of the window and all of them: a single f32 sum of a
// million products would lose four digits.
namespace fovea::kernels::cuda {
namespace {

struct Geometry {
  int64_t N, H, W, C, K, R, S, P, Q, stride, padding;
};

/// One thread for each element of y; reads the pixels of its window and its filter. Neighbouring threads
/// share the pixels.
template <class T>
__global__ void conv_forward_reference_kernel(Geometry g, const T* x, const T* weight, T* y) {
  for (int64_t i = grid_thread(); i < g.N * g.P * g.Q * g.K; i += grid_threads()) {
    const int64_t k = i % g.K, q = i / g.K % g.Q, p = i / (g.K * g.Q) % g.P, n = i / (g.K * g.Q * g.P);
    float sum = 0;
    for (int64_t r = 0; r < g.R; ++r) {
      for (int64_t s = 0; s < g.S; ++s) {
        const int64_t h = p * g.stride - g.padding + r, w = q * g.stride - g.padding + s;
        if (h < 0 || h >= g.H || w < 0 || w >= g.W) continue;
        const T* pixel = x + ((n * g.H + h) * g.W + w) * g.C;
        const T* tap = weight + ((k * g.R + r) * g.S + s) * g.C;
        float products = 0;
        for (int64_t c = 0; c < g.C; ++c) products += to_float(pixel[c]) * to_float(tap[c]);
        sum += products;
      }
    }
    y[i] = from_float<T>(sum);
  }
}

/// One thread for each element of dx; reads the dy of the windows that cover its pixel, and the filters
/// there.
template <class T>
__global__ void conv_backward_input_reference_kernel(Geometry g, const T* dy, const T* weight, T* dx) {
  for (int64_t i = grid_thread(); i < g.N * g.H * g.W * g.C; i += grid_threads()) {
    const int64_t c = i % g.C, w = i / g.C % g.W, h = i / (g.C * g.W) % g.H, n = i / (g.C * g.W * g.H);
    float sum = 0;
    for (int64_t r = 0; r < g.R; ++r) {
      for (int64_t s = 0; s < g.S; ++s) {
        const int64_t below = h + g.padding - r, right = w + g.padding - s;
        if (below < 0 || right < 0 || below % g.stride != 0 || right % g.stride != 0) continue;
        const int64_t p = below / g.stride, q = right / g.stride;
        if (p >= g.P || q >= g.Q) continue;
        const T* pixel = dy + ((n * g.P + p) * g.Q + q) * g.K;
        const T* tap = weight + (r * g.S + s) * g.C + c;
        float products = 0;
        for (int64_t k = 0; k < g.K; ++k) {
          products += to_float(pixel[k]) * to_float(tap[k * g.R * g.S * g.C]);
        }
        sum += products;
      }
    }
    dx[i] = from_float<T>(sum);
  }
}

/// One thread for each element of dweight; reads its channel of x and its channel of dy in all images.
template <class T>
__global__ void conv_backward_weight_reference_kernel(Geometry g, const T* x, const T* dy, T* dweight) {
  for (int64_t i = grid_thread(); i < g.K * g.R * g.S * g.C; i += grid_threads()) {
    const int64_t c = i % g.C, s = i / g.C % g.S, r = i / (g.C * g.S) % g.R, k = i / (g.C * g.S * g.R);
    float sum = 0;
    for (int64_t n = 0; n < g.N; ++n) {
      float products = 0;
      for (int64_t p = 0; p < g.P; ++p) {
        const int64_t h = p * g.stride - g.padding + r;
        if (h < 0 || h >= g.H) continue;
        for (int64_t q = 0; q < g.Q; ++q) {
          const int64_t w = q * g.stride - g.padding + s;
          if (w < 0 || w >= g.W) continue;
          products += to_float(x[((n * g.H + h) * g.W + w) * g.C + c]) *
                      to_float(dy[((n * g.P + p) * g.Q + q) * g.K + k]);
        }
      }
      sum += products;
    }
    dweight[i] = from_float<T>(sum);
  }
}

}  // namespace

void conv_reference(const ConvKey& problem, ConvTensors& tensors) {
  const char* operation = operation_of(problem.pass);
  const Geometry g{problem.N, problem.H,   problem.W,   problem.C,      problem.K,      problem.R,
                   problem.S, problem.P(), problem.Q(), problem.stride, problem.padding};
  const Grid grid = grid_for(tensors.result(problem.pass).size());
  visit_device_floating(operation, problem.dtype, [&]<class T>() {
    T *x = tensors.x.data<T>(), *weight = tensors.weight.data<T>(), *y = tensors.y.data<T>();
    switch (problem.pass) {
      case ConvPass::forward:
        return launch(operation, conv_forward_reference_kernel<T>, grid, g, x, weight, y);
      case ConvPass::backward_input:
        return launch(operation, conv_backward_input_reference_kernel<T>, grid, g, y, weight, x);
      case ConvPass::backward_weight:
        return launch(operation, conv_backward_weight_reference_kernel<T>, grid, g, x, y, weight);
    }
  });
}

}  // namespace fovea::kernels::cuda
