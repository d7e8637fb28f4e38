#include <fovea/fovea.h>

#include <cstdio>

// A product on the CPU and on an emulated device.
int main() {
  using namespace fovea;
  const Device device = parse_device("cuda");
  const Tensor a = normal({5, 7}, Random(1, Purpose::initial_values));
  const Tensor b = normal({7, 3}, Random(2, Purpose::initial_values));
  const Variable on_cpu = F::relu(F::matmul(Variable(a), Variable(b)));
  const Variable there = F::relu(F::matmul(Variable(a.to(device)), Variable(b.to(device))));
  const bool is_same = there.value().to_doubles() == on_cpu.value().to_doubles();
  std::printf("%s: %s\n", describe(device).c_str(), is_same ? "the same" : "another result");
  return is_same && there.value().device() == device ? 0 : 1;
}
