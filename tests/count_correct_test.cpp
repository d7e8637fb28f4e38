#include "fovea/kernels/count_correct.h"

#include <catch2/catch.hpp>
#include <limits>

#include "fovea/core/random.h"
#include "op_test.h"

using namespace fovea;
using namespace fovea::test;

namespace {

int64_t counted(const Tensor& logits, const Tensor& labels, int64_t k, Device device) {
  Tensor correct = Tensor::from<int64_t>({100}, {}).to(device);
  kernels::count_correct(logits.to(device), labels.to(device), k, correct);
  return static_cast<int64_t>(correct.item()) - 100;
}

}  // namespace

TEST_CASE("count_correct: ties and NaN") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const Tensor logits = Tensor::from<float>({1, 3, 2, 3, 3, 1, 0, nan, 1, 2, 2, 2}, {4, 3});
  const Tensor labels = Tensor::from<int32_t>({1, 1, 1, 0}, {4});
  for (const Device device : devices()) {
    INFO(device);
    // Row 0 is right; in rows 1 and 3 an equal logit counts where it comes first.
    CHECK(counted(logits, labels, 1, device) == 2);
    CHECK(counted(logits, labels, 2, device) == 3);
    CHECK(counted(Tensor::empty({0, 3}), Tensor::empty({0}, Dtype::i32), 1, device) == 0);
  }
}

TEST_CASE("count_correct: a label that is no class") {
  const Tensor logits = Tensor::from<float>({5, 6, 7, 5, 6, 7}, {2, 3});
  for (const int32_t label : {-1, 3}) {
    const Tensor labels = Tensor::from<int32_t>({label, 2}, {2});
    check_error("count_correct", [&] { counted(logits, labels, 1, Device::cpu()); });
    if (devices().size() > 1) CHECK(counted(logits, labels, 1, Device::cuda()) == 1);
  }
}

TEST_CASE("count_correct: many rows, few and many classes, the same on every device") {
  for (const int64_t C : {1, 2, 10, 31, 32, 33, 100}) {
    for (const int64_t N : {1, 7, 8, 9, 300}) {
      for (const Dtype dtype : {Dtype::f32, Dtype::bf16, Dtype::f16}) {
        const Tensor logits = normal({N, C}, Random(1, Purpose::test), 1.0f, dtype);
        Tensor labels = Tensor::empty({N}, Dtype::i32);
        Random random(2, Purpose::test);
        for (int64_t n = 0; n < N; ++n) {
          labels.data<int32_t>()[n] = static_cast<int32_t>(random.below(static_cast<uint32_t>(C)));
        }
        const int64_t wanted = counted(logits, labels, 2, Device::cpu());
        for (const Device device : devices()) CHECK(counted(logits, labels, 2, device) == wanted);
      }
    }
  }
}
