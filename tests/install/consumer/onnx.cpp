#include <fovea/fovea.h>
#include <fovea/training/onnx.h>

#include <cstdio>

// A small network as a graph of ONNX.
int main() {
  const auto model = fovea::make_model("attention-nano", {}, /*seed=*/1);
  const std::string bytes = fovea::onnx_bytes(*model, {}, {.masks = true});
  std::printf("onnx %s: %zu bytes\n", fovea::onnx_library_version().c_str(), bytes.size());
  return bytes.find("stages.0.modules.0.mask") != std::string::npos ? 0 : 1;
}
