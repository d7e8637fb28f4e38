#include "fovea/kernels/batch_norm.h"

#include "bench.h"

namespace fovea::bench {
namespace {

/// What all passes need, for images [N, H, W, C].
struct Tensors {
  explicit Tensors(const Shape& shape)
      : x(random_tensor(shape, 1)),
        dy(random_tensor(shape, 2)),
        result(zeros(shape)),
        weight(random_f32({shape[3]}, 3)),
        bias(random_f32({shape[3]}, 4)),
        mean(zeros({shape[3]}, Dtype::f32)),
        variance(zeros({shape[3]}, Dtype::f32)),
        dweight(zeros({shape[3]}, Dtype::f32)),
        dbias(zeros({shape[3]}, Dtype::f32)) {
    kernels::batch_norm_statistics(x, mean, variance);
  }

  kernels::NormConstants norm() const { return {mean, variance, weight, bias}; }

  Tensor x, dy, result;                                 // [N, H, W, C]
  Tensor weight, bias, mean, variance, dweight, dbias;  // [C]
};

void batch_norm_statistics(benchmark::State& state) {
  Tensors t(image_shape(state));
  measure(state, t.x.bytes(), [&] { kernels::batch_norm_statistics(t.x, t.mean, t.variance); });
}
FOVEA_BENCH(batch_norm_statistics, network_shapes);

void batch_norm_relu_forward(benchmark::State& state) {
  Tensors t(image_shape(state));
  measure(state, 2 * t.x.bytes(),
          [&] { kernels::batch_norm_forward(t.x, t.norm(), /*has_relu=*/true, t.result); });
}
FOVEA_BENCH(batch_norm_relu_forward, network_shapes);

void batch_norm_relu_backward_reduce(benchmark::State& state) {
  Tensors t(image_shape(state));
  measure(state, 2 * t.x.bytes(), [&] {
    kernels::batch_norm_backward_reduce(t.dy, t.x, t.norm(), /*has_relu=*/true, t.dweight, t.dbias);
  });
}
FOVEA_BENCH(batch_norm_relu_backward_reduce, network_shapes);

void batch_norm_relu_backward_input(benchmark::State& state) {
  Tensors t(image_shape(state));
  measure(state, 3 * t.x.bytes(), [&] {
    kernels::batch_norm_backward_input(t.dy, t.x, t.norm(), t.dweight, t.dbias, /*has_relu=*/true,
                                       /*other=*/{}, t.result);
  });
}
FOVEA_BENCH(batch_norm_relu_backward_input, network_shapes);

}  // namespace
}  // namespace fovea::bench
