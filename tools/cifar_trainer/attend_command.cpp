#include <fmt/format.h>
#include <filesystem>

#include "array_file.h"
#include "attention_pictures.h"
#include "commands.h"
#include "fovea/core/check.h"
#include "image_file.h"
#include "images_to_use.h"
#include "named_images.h"
#include "output.h"
#include "profile.h"
#include "setup.h"

namespace fovea::cli {
namespace {

constexpr int64_t kDatasetImages = 6;  // without --limit and without files
constexpr int64_t kMaxImages = 64;     // all masks are kept at once
// With fewer, what a picture cannot show is said.
constexpr int64_t kEpochs = 20;

/// f32 [modules, N, H, W]: the masks' means over their channels at the size of the images.
Tensor means_at_image_size(const std::vector<AttentionMaps>& maps, int64_t H, int64_t W) {
  const int64_t N = maps[0].mask.shape(0);
  Tensor result = Tensor::empty({std::ssize(maps), N, H, W});
  int64_t place = 0;
  for (const AttentionMaps& of_module : maps) {
    const Tensor mean = mean_mask(of_module);
    const int64_t h = mean.shape(1), w = mean.shape(2);
    for (int64_t n = 0; n < N; ++n, place += H * W) {
      const auto map = mean.span<float>().subspan(static_cast<size_t>(n * h * w), static_cast<size_t>(h * w));
      result.slice(place, {H, W}).copy_from(resized_map(map, h, w, H, W));
    }
  }
  return result;
}

/// What stands under an image: the name of its file, or the part of the dataset and its number there.
std::vector<std::string> labels_of(const std::vector<std::string>& names, const Arguments& arguments) {
  std::vector<std::string> labels;
  for (const std::string& name : names) {
    const bool is_number = name.find_first_not_of("0123456789") == std::string::npos;
    labels.push_back(arguments.names.empty() && is_number ? arguments.split + " " + name
                     : name == kStandardInput             ? "standard input"
                                                          : name);
  }
  return labels;
}

void print_spreads(const std::vector<AttentionMaps>& maps, Merge merge) {
  print("{:<24}{:>10}{:>8}{:>8}{:>8}{:>10}{:>10}{:>10}{:>10}\n", "module", "size", "mean", "least", "most",
        "places", "channels", "before", "after");
  for (const AttentionMaps& of_module : maps) {
    const MaskSpread spread = spread_of(of_module);
    const Shape& shape = of_module.mask.shape();
    print("{:<24}{:>10}{:>8.3f}{:>8.3f}{:>8.3f}{:>10.3f}{:>10.3f}{:>10.3f}{:>10.3f}\n", of_module.path,
          fmt::format("{}x{}x{}", shape[1], shape[2], shape[3]), spread.mean, spread.least, spread.greatest,
          spread.over_positions, spread.over_channels, spread.trunk, spread.merged);
  }
  print(
      "mean, least, most: of the mask; places and channels: its deviation within an image, over the places "
      "of\n"
      "a channel and over the channels; before and after: mean absolute features, {} merge\n",
      name_of(merge));
}

}  // namespace

int attend(const Arguments& arguments) {
  check<UsageError>(!arguments.output.empty(), "attend: --out is missing, wanted a folder for the pictures");
  Arguments to_use = arguments;
  check_names(arguments);
  if (to_use.names.empty()) {
    to_use.limit = arguments.limit.value_or(kDatasetImages);
    if (to_use.limit == 0) to_use.limit = kMaxImages;
  }
  const Checkpoint checkpoint = read_named_checkpoint(arguments.checkpoint);
  const Settings settings = settings_for_use(checkpoint, arguments);
  const Device device = prepare_device(settings);
  const Classifier classifier = load_classifier(checkpoint, device, settings.training.precision);
  if (!arguments.names.empty()) show(describe_knowledge(checkpoint) + "\n");
  const auto [images, names] = load_images_to_use(settings, to_use, kMaxImages);
  std::error_code error;
  const std::filesystem::path folder = arguments.output;
  std::filesystem::create_directories(folder, error);
  check(!error, "attend: cannot make the folder ", arguments.output, ": ", error.message());
  std::vector<AttentionMaps> maps;
  run_profiled(arguments.profile, device, settings.training.precision,
               [&, &shown = images] { maps = classifier.attention_maps(shown); });
  const std::vector<std::string> labels = labels_of(names, arguments);
  const ResidualAttentionSettings network = residual_attention_settings(settings.model, settings.network);

  const auto write_picture = [&](const std::string& name, const Picture& picture) {
    write_bytes("attend", folder / (name + ".png"), png_bytes(picture.pixels()));
  };
  for (const AttentionMaps& of_module : maps) {
    const std::string title = fmt::format("{} {}: {} attention, {} merge", settings.model, of_module.path,
                                          name_of(network.attention), name_of(network.merge));
    write_picture(of_module.path, draw_module(of_module, images, title, labels));
    write_bytes("attend", folder / (of_module.path + ".npy"), npy_bytes(of_module.mask));
  }
  write_picture("overview", draw_overview(maps, images, settings.model + ": mean of each mask", labels));
  write_picture("responses", draw_responses(maps, fmt::format("{}: mean absolute response, {} merge",
                                                              settings.model, name_of(network.merge))));
  write_bytes("attend", folder / "masks.npy",
              npy_bytes(means_at_image_size(maps, images.shape(1), images.shape(2))));

  print_spreads(maps, network.merge);
  if (const std::string flat = flat_text(maps); !flat.empty()) print("{}\n", flat);
  if (const int64_t epochs = checkpoint.progress.epoch; epochs < kEpochs) {
    print(
        "This network was trained for {} epoch{}: its masks may be little more than the random features that "
        "they\n"
        "began with, which vary as well, and need not follow the object.\n",
        epochs, epochs == 1 ? "" : "s");
  }
  print("{}: overview.png, responses.png, masks.npy, and a picture and an array of each module\n",
        arguments.output);
  return 0;
}

}  // namespace fovea::cli
