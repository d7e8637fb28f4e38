#include "fovea/kernels/upsample.h"

#include "bench.h"

namespace fovea::bench {
namespace {

// The arguments are the large side; the small one has half the height and width.
Shape half(const Shape& large) {
  return {large[0], large[1] / 2, large[2] / 2, large[3]};
}

void upsample_forward(benchmark::State& state) {
  const Tensor x = random_tensor(half(image_shape(state)), 1);
  Tensor y = zeros(image_shape(state));
  measure(state, x.bytes() + y.bytes(), [&] { kernels::upsample_forward(x, y); });
}
FOVEA_BENCH(upsample_forward, network_shapes);

void upsample_add_forward(benchmark::State& state) {
  const Tensor x = random_tensor(half(image_shape(state)), 1), skip = random_tensor(image_shape(state), 2);
  Tensor y = Tensor::zeros_like(skip);
  measure(state, x.bytes() + skip.bytes() + y.bytes(), [&] { kernels::upsample_add_forward(x, skip, y); });
}
FOVEA_BENCH(upsample_add_forward, network_shapes);

void upsample_backward(benchmark::State& state) {
  const Tensor dy = random_tensor(image_shape(state), 1);
  Tensor dx = zeros(half(image_shape(state)));
  measure(state, dy.bytes() + dx.bytes(), [&] { kernels::upsample_backward(dy, dx); });
}
FOVEA_BENCH(upsample_backward, network_shapes);

}  // namespace
}  // namespace fovea::bench
