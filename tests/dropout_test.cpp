#include "fovea/core/captured_graph.h"
#include "fovea/layers/functional.h"
#include "op_test.h"

using namespace fovea;
using namespace fovea::test;

TEST_CASE("dropout: properties") {
  std::vector<OperationCase> cases;
  for (const int64_t size : {1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 997, 40001}) {
    cases.push_back({str("[", size, "]"), {{{size}}}, [](const Inputs& x) {
                       return F::dropout(x[0], 0.3, Random(1, Purpose::dropout));
                     }});
  }
  check_operation("dropout", cases);
}

TEST_CASE("dropout: element i is kept by number i of the stream") {
  const int64_t size = 1003;
  const double p = 0.25;
  const Variable x(Tensor::full({size}, 3), true);
  Random stream(/*seed=*/5, Purpose::dropout, /*epoch=*/2, /*sample=*/9);
  const Variable y = F::dropout(x, p, stream);
  std::vector<double> wanted, slope;
  for (int64_t i = 0; i < size; ++i) {
    const bool is_kept = stream.uniform() >= 0.25f;
    wanted.push_back(is_kept ? 4 : 0);
    slope.push_back(is_kept ? 4.0 / 3 : 0);
  }
  check_near(y.value(), wanted, 1e-6);
  y.backward(Tensor::full({size}, 1));
  check_near(x.grad(), slope, 1e-6);
}

TEST_CASE("dropout: a device keeps the same elements") {
  if (cuda_status().device_count == 0) {
    WARN("skipped: there is no CUDA device");
    return;
  }
  const Random stream(/*seed=*/0x123456789abcdef0, Purpose::dropout, /*epoch=*/2, /*sample=*/9);
  for (const double p : {0.0, 0.3, 0.999999}) {
    for (const Dtype dtype : {Dtype::f32, Dtype::bf16, Dtype::f16}) {
      INFO("p " << p << ", " << dtype);
      const Tensor x = cast(normal({20001}, Random(1, Purpose::test)), dtype);
      const Tensor wanted = F::dropout(x, p, stream).value(), on_device = x.to(Device::cuda());
      CHECK(same_bits(F::dropout(on_device, p, stream).value(), wanted));
      // From a place where packs cannot be read, to one where they can.
      const Tensor part = on_device.slice(1, {1001});
      CHECK(same_bits(F::dropout(part, p, stream).value(),
                      F::dropout(part.to(Device::cpu()), p, stream).value()));
    }
  }
}

TEST_CASE("dropout: has no place in a graph, which would drop the same elements at every replay") {
  if (cuda_status().device_count == 0) return;
  const Tensor x = Tensor::full({8}, 1, Dtype::f32, Device::cuda());
  const auto drop = [&] { F::dropout(x, 0.5, Random(1, Purpose::dropout)); };
  drop();
  CHECK_THROWS_WITH(CapturedGraph(Device::cuda(), drop),
                    Catch::Contains("dropout: a graph") && Catch::EndsWith("; with f32[8], f32[8]"));
}

TEST_CASE("dropout: keeps the expected share, and all of it where p is 0") {
  const Variable x(Tensor::full({100000}, 1));
  const double mean = F::mean(F::dropout(x, 0.7, Random(3, Purpose::dropout))).value().item();
  CHECK(mean == Approx(1).margin(0.03));  // four deviations of the mean
  CHECK(same_bits(F::dropout(x, 0.0, Random(3, Purpose::dropout)).value(), x.value()));
}

TEST_CASE("dropout: p outside [0, 1) is an error") {
  const Variable x(Tensor::zeros({2}));
  check_error("dropout", [&] { F::dropout(x, 1.0, Random(1, Purpose::dropout)); });
  check_error("dropout", [&] { F::dropout(x, -0.1, Random(1, Purpose::dropout)); });
}
