#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "fovea/core/enum_names.h"
#include "fovea/data/image_set.h"
#include "fovea/layers/module.h"

/// Models as graphs of ONNX (opset 17), which ONNX Runtime, OpenVINO and others compute. In the library
/// fovea::onnx, and not in fovea.h.
#pragma GCC visibility push(default)
namespace fovea {

/// What a graph takes: u8 bytes [N, H, W, 3], or f32 bytes / 255 as [N, 3, H, W]. The normalisation is
/// inside.
enum class OnnxInput { u8, f32 };
template <>
inline constexpr EnumNames enum_names<OnnxInput>{"input", {"u8", "f32"}};

struct OnnxSettings {
  int64_t height = 32, width = 32;  // of the images
  OnnxInput input = OnnxInput::u8;
  bool logits = false;  // the output is "logits" instead of "probabilities", f32 [N, classes]
  bool masks = false;  // further outputs "stages.0.modules.0.mask", ..., f32 [N, C, h, w]: see attention_maps
  std::string name = "model";                     // of the graph
  std::map<std::string, std::string> metadata{};  // texts for the file's metadata_props
};

/// The bytes of a file of ONNX with what `model` computes of "images", for any N. Found by one forward pass
/// in evaluation mode on one random image, and one on two: every F:: operation becomes nodes under the path
/// of its layer, weights are initialisers of the same bits under their paths, and ONNX's checker, with strict
/// inference of shapes, has agreed. metadata_props gets `metadata` and "mean" and "deviation".
/// UsageError for a model that is not in f32, and, where masks are wanted, without attention modules. Error
/// that names an operation without a counterpart, and for what is computed past the F:: operations.
std::string onnx_bytes(Model& model, const ImageNormalisation& normalisation, const OnnxSettings& settings);

/// Writes onnx_bytes to a file, whole or not at all.
void write_onnx(const std::string& path, Model& model, const ImageNormalisation& normalisation,
                const OnnxSettings& settings);

/// The version of the library that checks, and the opset of the graphs: "1.12.0", 17.
std::string onnx_library_version();
inline constexpr int64_t kOnnxOpset = 17;

}  // namespace fovea
#pragma GCC visibility pop
