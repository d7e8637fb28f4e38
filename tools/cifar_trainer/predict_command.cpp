#include <fmt/format.h>
#include <algorithm>
#include <bit>
#include <cmath>
#include <memory>

#include "commands.h"
#include "fovea/core/atomic_file.h"
#include "fovea/core/check.h"
#include "image_file.h"
#include "output.h"
#include "profile.h"
#include "progress.h"
#include "setup.h"
#include "signals.h"

namespace fovea::cli {
namespace {

// Images of one size from PNG files: u8 [N, H, W, 3].
Tensor read_images(const std::vector<std::string>& paths, int64_t size) {
  const auto N = static_cast<int64_t>(paths.size());
  Tensor images = Tensor::empty({N, size, size, 3}, Dtype::u8);
  for (int64_t n = 0; n < N; ++n) {
    const std::string& path = paths[static_cast<size_t>(n)];
    const Tensor image = read_png(path);  // [1, H, W, 3]
    check<DataError>(image.shape() == images.shape().with(0, 1), "predict: ", path, " has ", image.shape(2),
                     "x", image.shape(1), " pixels, wanted ", size, "x", size, "; resize it first");
    images.slice(n * image.size(), image.shape()).copy_from(image);
    throw_if_stopped("reading images");
  }
  return images;
}

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

// NumPy's format, version 1.0: magic, version, length of the header, header padded to 64 bytes, numbers.
std::string npy_bytes(const Tensor& probabilities) {
  static_assert(std::endian::native == std::endian::little);
  std::string header = fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}",
                                   probabilities.shape(0), probabilities.shape(1));
  constexpr size_t kPrefix = 10;
  header.resize((header.size() + kPrefix + 1 + 63) / 64 * 64 - kPrefix - 1, ' ');
  header += '\n';
  std::string bytes("\x93NUMPY\x01\x00", 8);
  bytes += static_cast<char>(header.size() & 0xff);
  bytes += static_cast<char>(header.size() >> 8);
  bytes += header;
  bytes.append(static_cast<const char*>(probabilities.raw()), probabilities.bytes());
  return bytes;
}

// To a file, or to standard output if `path` is empty.
void write_bytes(const std::string& path, const std::string& bytes) {
  if (path.empty()) return write_output(bytes);
  write_whole(path, bytes, "predict", throw_as<Error>);
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

  std::vector<std::string> names = arguments.names;
  Tensor images;  // u8 [N, H, W, 3]
  if (names.empty()) {
    images = load_split(settings, arguments).images;
    for (int64_t n = 0; n < images.shape(0); ++n) names.push_back(std::to_string(n));
  } else {
    images = read_images(names, model_input_size(settings.model, model_options(settings)));
  }

  Tensor probabilities;
  run_profiled(arguments.profile, device, parse_precision(settings.precision), [&] {
    Progress progress;
    probabilities = classifier.predict_probabilities(
        images, {.batch_size = settings.batch_size,
                 .on_batch = [&](int64_t done,
                                 int64_t total) { progress.count("predicting", "images", done, total); },
                 .should_stop = should_stop});
  });
  throw_if_stopped("predicting");
  if (const int64_t row = first_non_finite_row(probabilities); row >= 0) {
    throw Error(str("predict: the probabilities of image ", names[static_cast<size_t>(row)],
                    " are not finite, so that the network of ", arguments.checkpoint,
                    " names no class, and nothing was written: ",
                    advice_on_non_finite(classifier.model(), settings.precision)));
  }
  write_bytes(arguments.output,
              is_npy ? npy_bytes(probabilities) : csv_text(probabilities, names, class_names_of(checkpoint)));
  return 0;
}

}  // namespace fovea::cli
