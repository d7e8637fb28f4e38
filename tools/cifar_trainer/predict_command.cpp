#include <fmt/format.h>
#include <algorithm>
#include <cmath>
#include <memory>

#include "array_file.h"
#include "commands.h"
#include "fovea/core/check.h"
#include "images_to_use.h"
#include "output.h"
#include "profile.h"
#include "progress.h"
#include "setup.h"
#include "signals.h"

namespace fovea::cli {
namespace {

// Of [N, classes]; -1: there is none.
int64_t first_non_finite_row(const Tensor& probabilities) {
  const auto all = probabilities.span<float>();
  const auto found = std::find_if(all.begin(), all.end(), [](float value) { return !std::isfinite(value); });
  return found == all.end() ? -1 : (found - all.begin()) / probabilities.shape(1);
}

// A field of CSV (RFC 4180).
std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? "\"\"" : std::string(1, c);
  return quoted + "\"";
}

// A row an image: its name, the likeliest class, and the probability of each class.
std::string csv_text(const Tensor& probabilities, const std::vector<std::string>& images,
                     const std::vector<std::string>& class_names) {
  std::string text = "image,class";
  for (const std::string& name : class_names) text += fmt::format(",{}", csv_field(name));
  text += "\n";
  const auto all = probabilities.span<float>();
  for (size_t n = 0; n < images.size(); ++n) {
    const auto row = all.subspan(n * class_names.size(), class_names.size());
    const auto best = static_cast<size_t>(std::max_element(row.begin(), row.end()) - row.begin());
    text += fmt::format("{},{}", csv_field(images[n]), csv_field(class_names[best]));
    for (const float probability : row) text += fmt::format(",{:.6f}", probability);
    text += "\n";
  }
  return text;
}

}  // namespace

int predict(const Arguments& arguments) {
  const bool is_npy = arguments.output.ends_with(".npy");
  check<UsageError>(is_npy || arguments.output.empty() || arguments.output.ends_with(".csv"),
                    "predict: --out is ", arguments.output, ", wanted a name that ends in .csv or .npy");
  const Checkpoint checkpoint = read_checkpoint(arguments.checkpoint);
  const Settings settings = settings_for_use(checkpoint, arguments);
  const Device device = prepare_device(settings);
  Classifier classifier = load_classifier(checkpoint, device, parse_precision(settings.precision));

  const auto [images, names] = load_images_to_use(settings, arguments);

  Tensor probabilities;
  run_profiled(arguments.profile, device, parse_precision(settings.precision), [&] {
    Progress progress;
    probabilities = classifier.predict_probabilities(
        images, {.batch_size = settings.batch_size,
                 .on_batch = [&](int64_t done,
                                 int64_t total) { progress.count("predicting", "images", done, total); },
                 .should_stop = should_stop,
                 .should_interrupt = should_stop});
  });
  throw_if_stopped("predicting");
  if (const int64_t row = first_non_finite_row(probabilities); row >= 0) {
    throw Error(str("predict: the probabilities of image ", names[static_cast<size_t>(row)],
                    " are not finite, so that the network of ", arguments.checkpoint,
                    " names no class, and nothing was written: ",
                    advice_on_non_finite(classifier.model(), settings.precision)));
  }
  write_bytes("predict", arguments.output,
              is_npy ? npy_bytes(probabilities) : csv_text(probabilities, names, class_names_of(checkpoint)));
  return 0;
}

}  // namespace fovea::cli
