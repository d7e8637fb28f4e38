#include <fovea/fovea.h>

#include <cstdio>
#include <exception>

// Errors that the library throws are caught as what they are, and as std::exception.
bool catches_errors() {
  try {
    fovea::make_model("no-such-network", {}, /*seed=*/1);
  } catch (const fovea::Error&) {
    try {
      fovea::read_checkpoint("no such file");
    } catch (const std::exception& error) {
      return dynamic_cast<const fovea::Error*>(&error) != nullptr;
    }
  }
  return false;
}

// Fits a line of three classes: an Error, or a loss that does not fall, is a failure.
int main() {
  using namespace fovea;
  const Tensor x = Tensor::from<float>({-2, -1, 0, 1, 2, 3}, {6, 1});
  const Tensor labels = Tensor::from<int32_t>({0, 0, 1, 1, 2, 2}, {6});
  Variable weight(normal({3, 1}, Random(1, Purpose::initial_values)), /*requires_grad=*/true);
  Variable bias(Tensor::zeros({3}), /*requires_grad=*/true);

  double first = 0, last = 0;
  for (int step = 0; step < 100; ++step) {
    weight.zero_grad();
    bias.zero_grad();
    const Variable loss = F::softmax_cross_entropy(F::linear(x, weight, bias), labels);
    loss.backward();
    for (Variable* parameter : {&weight, &bias}) {
      float* values = parameter->value().data<float>();
      const auto gradient = parameter->grad().span<float>();
      for (size_t i = 0; i < gradient.size(); ++i) values[i] -= 0.5f * gradient[i];
    }
    last = loss.value().item();
    if (step == 0) first = last;
  }
  std::printf("fovea %s: loss %.3f -> %.3f\n", FOVEA_VERSION, first, last);
  static_assert(FOVEA_VERSION_NUMBER >= FOVEA_MAKE_VERSION_NUMBER(0, 1, 0));
  return last < 0.5 * first && catches_errors() ? 0 : 1;
}
