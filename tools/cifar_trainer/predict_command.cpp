#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <memory>

#include "array_file.h"
#include "commands.h"
#include "fovea/core/check.h"
#include "images_to_use.h"
#include "output.h"
#include "predictions.h"
#include "profile.h"
#include "progress.h"
#include "setup.h"
#include "signals.h"

namespace fovea::cli {
namespace {

// The first row of probabilities [N, classes] with a number that is not finite; -1: there is none.
int64_t first_non_finite_row(const Tensor& probabilities) {
  const auto all = probabilities.span<float>();
  const auto found = std::find_if(all.begin(), all.end(), [](float value) { return !std::isfinite(value); });
  return found == all.end() ? -1 : (found - all.begin()) / probabilities.shape(1);
}

// The likeliest classes of an image that are shown where nothing says how many.
constexpr int64_t kShown = 3;

// What is written: to a terminal a table, otherwise CSV.
std::string text_of(const Arguments& arguments, const Predictions& predictions) {
  const int64_t classes = std::ssize(predictions.class_names);
  if (arguments.output.empty() && output_is_terminal())
    return table_of_likeliest(predictions, arguments.top_k > 0 ? arguments.top_k : std::min(kShown, classes));
  return arguments.top_k > 0 ? csv_of_likeliest(predictions, arguments.top_k) : csv_of_all(predictions);
}

// A result of minutes is not to be lost for a folder that is not there.
void check_place(const std::string& output) {
  namespace fs = std::filesystem;
  if (output.empty()) return;
  std::error_code ignored;
  const std::string parent = fs::path(output).parent_path().string(), folder = parent.empty() ? "." : parent;
  check<UsageError>(fs::is_directory(folder, ignored), "predict: --out is ", output,
                    ", and there is no folder ", folder, "; make it, or name a file in another");
  check<UsageError>(!fs::is_directory(output, ignored), "predict: --out is ", output,
                    ", which is a folder; name a file in it");
  const bool is_writable = access(folder.c_str(), W_OK) == 0;  // before errno is read
  check<UsageError>(is_writable, "predict: --out is ", output, ", and nothing can be written into ", folder,
                    ": ", std::strerror(errno), "; change its permissions, or name a file in another");
}

}  // namespace

int predict(const Arguments& arguments) {
  const bool is_npy = arguments.output.ends_with(".npy");
  check<UsageError>(is_npy || arguments.output.empty() || arguments.output.ends_with(".csv"),
                    "predict: --out is ", arguments.output, ", wanted a name that ends in .csv or .npy");
  check<UsageError>(!is_npy || arguments.top_k == 0, "predict: --top-k ", arguments.top_k, " with --out ",
                    arguments.output,
                    ", which has the probabilities of all classes; wanted a .csv, or no --top-k");
  check_names(arguments);
  check_place(arguments.output);
  const Checkpoint checkpoint = read_named_checkpoint(arguments.checkpoint);
  const std::vector<std::string> class_names = class_names_of(checkpoint);
  check<UsageError>(arguments.top_k <= std::ssize(class_names), "predict: --top-k is ", arguments.top_k,
                    ", wanted at most ", class_names.size(), ", the classes of ", checkpoint.where);
  const Settings settings = settings_for_use(checkpoint, arguments);
  const Device device = prepare_device(settings);
  Classifier classifier = load_classifier(checkpoint, device, settings.training.precision);
  if (!arguments.names.empty()) show(describe_knowledge(checkpoint) + "\n");

  const ImagesToUse to_use = load_images_to_use(settings, arguments);

  Tensor probabilities;
  run_profiled(arguments.profile, device, settings.training.precision, [&] {
    Progress progress;
    probabilities = classifier.predict_probabilities(
        to_use.images, shown_evaluation(progress, "predicting", settings.training.batch_size));
  });
  throw_if_stopped("predicting");
  if (const int64_t row = first_non_finite_row(probabilities); row >= 0) {
    throw Error(str("predict: the probabilities of image ", to_use.names[static_cast<size_t>(row)],
                    " are not finite, so that the network of ", checkpoint.where,
                    " names no class, and nothing was written: ",
                    advice_on_non_finite(classifier.model(), settings.training.precision)));
  }
  write_bytes(
      "predict", arguments.output,
      is_npy ? npy_bytes(probabilities) : text_of(arguments, {probabilities, to_use.names, class_names}));
  return 0;
}

}  // namespace fovea::cli
