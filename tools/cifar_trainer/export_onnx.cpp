#include <fmt/format.h>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "commands.h"
#include "fovea/config.h"
#include "fovea/core/atomic_file.h"
#include "fovea/core/check.h"
#include "fovea/data/resize.h"
#include "fovea/data/synthetic.h"
#include "onnx_runtime.h"
#include "output.h"
#include "setup.h"

namespace fovea::cli {
namespace {

constexpr int64_t kImages = 16;  // to compare with ONNX Runtime
// As a share of the largest number: sums in another order make some 1e-6 of it.
constexpr double kUsualDifference = 1e-3;

/// What the outputs of the graph are to be. images: u8 [N, H, W, 3]
std::vector<NamedTensor> outputs_of(const Classifier& classifier, const Tensor& images,
                                    const OnnxSettings& settings) {
  std::vector<NamedTensor> outputs;
  if (settings.logits) {
    // Labels that nobody looks at: a set must have some.
    const ImageSet set{"drawn", images, Tensor::zeros({images.shape(0)}, Dtype::i32), {"unknown"}};
    const auto keep = [&](int64_t, const Tensor& logits) {
      outputs.push_back({"logits", logits.to(Device::cpu())});
    };
    classifier.evaluate(set, {.batch_size = images.shape(0), .on_logits = keep});
  } else {
    outputs.push_back({"probabilities", classifier.predict_probabilities(images)});
  }
  if (!settings.masks) return outputs;
  for (const AttentionMaps& maps : classifier.attention_maps(images)) {
    outputs.push_back({maps.path + ".mask", maps.mask});
  }
  return outputs;
}

std::map<std::string, std::string> metadata_of(const Checkpoint& checkpoint, const Settings& settings) {
  std::map<std::string, std::string> metadata{{"model", settings.model},
                                              {"dataset", settings.dataset},
                                              {"version", FOVEA_VERSION},
                                              {"classes", nlohmann::json(class_names_of(checkpoint)).dump()}};
  if (const auto& evaluation = checkpoint.progress.evaluation) {
    metadata["accuracy"] = fmt::format("{:.4f}", evaluation->accuracy);
    metadata["accuracy_of"] = fmt::format("{} {} images", evaluation->images,
                                          settings.validation.value_or(0) > 0 ? "validation" : "test");
  }
  return metadata;
}

}  // namespace

int export_onnx(const Arguments& arguments) {
  const std::string& file = arguments.output;
  check<UsageError>(file.ends_with(".onnx"), "export: --onnx is ", file,
                    ", wanted a name that ends in .onnx");
  check<UsageError>(!std::filesystem::exists(file), "export: ", file,
                    " is there already; choose another name, or delete it");
  const Checkpoint checkpoint = read_named_checkpoint(arguments.checkpoint);
  const Settings settings = settings_for_use(checkpoint, arguments);
  Classifier classifier = load_classifier(checkpoint, prepare_device(settings), Precision::f32);
  const int64_t size = image_size(settings);
  OnnxSettings onnx = arguments.onnx;
  onnx.height = onnx.width = size;
  onnx.name = settings.model;
  onnx.metadata = metadata_of(checkpoint, settings);
  const std::string bytes = onnx_bytes(classifier.model(), classifier.normalisation(), onnx);

  const Tensor images = resized_and_cropped(synthetic_images(Split::test, kImages, /*seed=*/1), size).images;
  const auto comparison = compare_with_runtime(bytes, images, outputs_of(classifier, images, onnx));
  write_whole(file, bytes, "export", throw_as<Error>);
  show(fmt::format("{}: {:.1f} MB, opset {}, checked by ONNX {}\n", on_one_line(file),
                   static_cast<double>(bytes.size()) / 1e6, kOnnxOpset, onnx_library_version()));
  if (comparison) {
    show(fmt::format(
        "ONNX Runtime {} on {} drawn images: {}; largest difference {:.1e} of the largest "
        "number of an output\n",
        comparison->version, kImages,
        comparison->other_classes == 0 ? "the same class for all"
                                       : fmt::format("another class for {}", comparison->other_classes),
        comparison->difference));
    if (comparison->difference > kUsualDifference) {
      show(
          "warning: that is much for sums in another order; a network of a few steps, whose running "
          "statistics "
          "are not its activations', makes small differences large, another one should not\n");
    }
  }
  return 0;
}

}  // namespace fovea::cli
