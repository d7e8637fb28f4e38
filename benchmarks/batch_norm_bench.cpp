#include "fovea/kernels/batch_norm.h"

#include "bench.h"

namespace fovea::bench {
namespace {

/// What all passes need, for images [N, H, W, C].
struct Tensors {
  explicit Tensors(const Shape& shape)
      : x(random_tensor(shape, 1)),
        dy(random_tensor(shape, 2)),
        result(Tensor::zeros(shape)),
        weight(random_tensor({shape[3]}, 3)),
        bias(random_tensor({shape[3]}, 4)),
        mean(Tensor::zeros({shape[3]})),
        variance(Tensor::zeros({shape[3]})),
        dweight(Tensor::zeros({shape[3]})),
        dbias(Tensor::zeros({shape[3]})) {
    kernels::batch_norm_statistics(x, mean, variance);
  }

  Tensor x, dy, result;                                 // [N, H, W, C]
  Tensor weight, bias, mean, variance, dweight, dbias;  // [C]
};

constexpr double kEpsilon = 1e-5;

void batch_norm_statistics(benchmark::State& state) {
  Tensors t(image_shape(state));
  measure(state, {t.x.bytes()}, [&] { kernels::batch_norm_statistics(t.x, t.mean, t.variance); });
}
FOVEA_BENCH(batch_norm_statistics);

void batch_norm_relu_forward(benchmark::State& state) {
  Tensors t(image_shape(state));
  measure(state, {2 * t.x.bytes()}, [&] {
    kernels::batch_norm_forward(t.x, t.mean, t.variance, t.weight, t.bias, kEpsilon, /*has_relu=*/true,
                                t.result);
  });
}
FOVEA_BENCH(batch_norm_relu_forward);

void batch_norm_relu_backward_reduce(benchmark::State& state) {
  Tensors t(image_shape(state));
  measure(state, {2 * t.x.bytes()}, [&] {
    kernels::batch_norm_backward_reduce(t.dy, t.x, t.mean, t.variance, t.weight, t.bias, kEpsilon,
                                        /*has_relu=*/true, t.dweight, t.dbias);
  });
}
FOVEA_BENCH(batch_norm_relu_backward_reduce);

void batch_norm_relu_backward_input(benchmark::State& state) {
  Tensors t(image_shape(state));
  measure(state, {3 * t.x.bytes()}, [&] {
    kernels::batch_norm_backward_input(t.dy, t.x, t.mean, t.variance, t.weight, t.bias, t.dweight, t.dbias,
                                       kEpsilon, /*has_relu=*/true, /*training=*/true, t.result);
  });
}
FOVEA_BENCH(batch_norm_relu_backward_input);

}  // namespace
}  // namespace fovea::bench
