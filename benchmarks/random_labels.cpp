#include "random_labels.h"

#include "fovea/core/random.h"

namespace fovea::bench {

Tensor random_labels(int64_t N, int64_t classes, Device device) {
  Tensor labels = Tensor::zeros({N}, Dtype::i32);
  Random random(/*seed=*/2, Purpose::test);
  for (int64_t n = 0; n < N; ++n) {
    labels.data<int32_t>()[n] = static_cast<int32_t>(random.below(static_cast<uint32_t>(classes)));
  }
  return labels.to(device);
}

}  // namespace fovea::bench
