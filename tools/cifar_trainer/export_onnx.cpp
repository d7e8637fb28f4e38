#include <fmt/format.h>
#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "commands.h"
#include "fovea/config.h"
#include "fovea/core/atomic_file.h"
#include "fovea/core/check.h"
#include "fovea/data/augment.h"
#include "fovea/data/resize.h"
#include "fovea/data/synthetic.h"
#include "fovea/layers/functional.h"
#include "onnx_runtime.h"
#include "output.h"
#include "setup.h"

namespace fovea::cli {
namespace {

constexpr int64_t kImages = 16;  // to compare with ONNX Runtime
// As a share of the largest number: sums in another order make some 1e-6 of it.
constexpr double kUsualDifference = 1e-3;

/// Drawn images of the network's size. u8 [kImages, size, size, 3]
Tensor images_of_size(int64_t size) {
  const Tensor drawn = synthetic_images(Split::test, kImages, /*seed=*/1).images;
  Tensor images = Tensor::empty({kImages, size, size, 3}, Dtype::u8);
  for (int64_t n = 0; n < kImages; ++n) {
    const auto* from = drawn.data<uint8_t>() + n * drawn.size() / kImages;
    Tensor image = Tensor::empty({drawn.shape(1), drawn.shape(2), 3}, Dtype::u8);
    std::copy_n(from, image.size(), image.data<uint8_t>());
    image = resized(image, size, size);
    std::copy_n(image.data<uint8_t>(), image.size(), images.data<uint8_t>() + n * image.size());
  }
  return images;
}

/// Bytes as the network sees them. u8 [N, H, W, 3] -> f32 [N, H, W, 3]
Tensor normalised(const Tensor& images, const ImageNormalisation& normalisation) {
  Tensor result = Tensor::empty(images.shape());
  const Tensor table = normalised_bytes(normalisation);  // [3, 256]
  for (int64_t i = 0; i < images.size(); ++i) {
    result.data<float>()[i] = table.data<float>()[i % 3 * 256 + images.data<uint8_t>()[i]];
  }
  return result;
}

/// What the outputs of the graph are to be.
std::vector<NamedTensor> outputs_of(Classifier& classifier, const Tensor& images,
                                    const OnnxSettings& settings) {
  const NoGrad no_grad;
  const EvaluationMode evaluation(classifier.model());
  const Device device = place_of(classifier.model()).device;
  const Tensor x = normalised(images, classifier.normalisation()).to(device);
  const Variable logits = classifier.model().forward(x).value().to(Device::cpu());
  std::vector<NamedTensor> outputs;
  if (settings.logits) {
    outputs.push_back({"logits", logits.value()});
  } else {
    outputs.push_back({"probabilities", F::softmax(logits).value()});
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

  const Tensor images = images_of_size(size);
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
