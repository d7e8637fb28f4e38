// What every named model costs: parameters, and for one image multiply-adds and bytes of activations.
#include <fovea/fovea.h>

#include <iomanip>
#include <iostream>

int main() {
  std::cout << std::left << std::setw(22) << "model" << std::right << std::setw(7) << "input" << std::setw(13)
            << "parameters" << std::setw(16) << "multiply-adds" << std::setw(14) << "activations\n";
  for (const std::string& name : fovea::model_names()) {
    const auto model = fovea::make_model(name, {}, /*seed=*/1);
    const int64_t size = fovea::model_input_size(name);
    const fovea::ModelSummary summary = fovea::summarise(*model, {1, size, size, 3});
    std::cout << std::left << std::setw(22) << name << std::right << std::setw(7) << size << std::setw(13)
              << summary.parameters << std::setw(16) << summary.multiply_adds << std::setw(13)
              << summary.activation_bytes << "\n";
  }
}
