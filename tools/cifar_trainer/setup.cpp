#include "setup.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <sstream>

#include "fovea/core/available_memory.h"
#include "fovea/core/check.h"
#include "fovea/core/device_dtype.h"
#include "fovea/core/parallel_for.h"
#include "fovea/core/printable.h"
#include "fovea/data/plausibility.h"
#include "fovea/data/resize.h"
#include "fovea/data/split.h"
#include "fovea/data/synthetic.h"
#include "fovea/kernels/cpu_variant.h"
#include "fovea/training/non_finite.h"
#include "known_files.h"
#include "output.h"
#include "run_folder.h"
#include "signals.h"

namespace fovea::cli {
namespace {

constexpr const char* kLastLayer = "linear.weight";  // of every network of models/
constexpr const char* kWanted = "wanted a file that cifar_trainer train wrote";
// The most bytes of a checkpoint's settings, whose tree is many times the size of the text.
constexpr size_t kMaxSettingsBytes = size_t{1} << 20;

const std::string& info_of(const Checkpoint& checkpoint, const char* key) {
  const auto found = checkpoint.info.find(key);
  check<CheckpointError>(found != checkpoint.info.end(), "checkpoint: ", checkpoint.where, " has no entry \"",
                         key, "\"; ", kWanted);
  return found->second;
}

// The authors' files are what they are. Others may be anyone's, but not anything.
void tell_of_files(const std::string& name, const std::string& folder, const Dataset& dataset) {
  FileCheck files;
  try {
    files = check_files(name, folder, known_datasets(), should_stop);
  } catch (const DataError&) {
    throw;
  } catch (const Error& error) {  // a library without MD5
    show(fmt::format("warning: {}: the files are not compared with the authors': {}\n", name, error.what()));
  }
  if (files.is_official) return;
  if (!files.unknown.empty()) {
    const size_t more = files.unknown.size() - 1;
    show(fmt::format("warning: {}{} not the file{} that the authors of {} publish (by their checksums)\n",
                     files.unknown[0], more > 0 ? fmt::format(" and {} more are", more) : " is",
                     more > 0 ? "s" : "", name));
  }
  const std::string where = name + ": " + folder;
  for (const std::string& warning : check_plausible(dataset, where)) show(warning + "\n");
}

auto find_last_layer(const std::vector<NamedTensor>& weights) {
  return std::find_if(weights.begin(), weights.end(), [](const NamedTensor& entry) {
    return entry.name == kLastLayer && entry.tensor.shape().rank() == 2;
  });
}

// load_dataset, whose errors do not know the flags of this program.
Dataset load_or_advise(const Settings& settings) {
  try {
    return load_dataset(settings.dataset, settings.data, settings.training.seed);
  } catch (const DataError& error) {
    throw DataError(str(error.what(), "; --data names the folder"));
  }
}

bool is_own(const Settings& settings) {
  return settings.dataset == kImageFolder || settings.dataset == kNpyFolder;
}

// "120 training and 30 test images of 3 classes"
std::string describe_own(const OwnImages& images) {
  std::string text = fmt::format("{} training", images.train.size());
  if (images.validation.size() > 0) text += fmt::format(", {} validation", images.validation.size());
  return text +
         fmt::format(" and {} test images of {} classes", images.test.size(), images.class_names.size());
}

Dataset load_own(const Settings& settings, const Excerpt& excerpt) {
  const OwnImages images = list_own_images(settings);
  Dataset dataset = read_own_images(images, excerpt, image_size(settings));
  for (const std::string& warning : check_plausible(dataset, settings.dataset + ": " + images.name))
    show(warning + "\n");
  return dataset;
}

// A part of each split. Drawn images have no end, and only those wanted are drawn; of own ones only those
// wanted are read.
Dataset load_part(const Settings& settings, const Excerpt& excerpt) {
  if (is_own(settings)) return load_own(settings, excerpt);
  const uint64_t seed = settings.training.seed;
  const int64_t train_limit = excerpt.train_limit, test_limit = excerpt.test_limit;
  if (settings.dataset == "synthetic" && train_limit > 0 && test_limit > 0) {
    return {synthetic_images(Split::train, train_limit, seed),
            synthetic_images(Split::test, test_limit, seed)};
  }
  Dataset dataset = load_or_advise(settings);
  if (settings.dataset != "synthetic") {
    tell_of_files(settings.dataset, find_dataset(settings.dataset, settings.data), dataset);
  }
  if (train_limit > 0) dataset.train = dataset.train.first(train_limit);
  if (test_limit > 0) dataset.test = dataset.test.first(test_limit);
  return dataset;
}

// With the images at the size of the settings.
Dataset load_first(const Settings& settings, const Excerpt& excerpt) {
  Dataset dataset = load_part(settings, excerpt);
  if (settings.image_size && !is_own(settings)) {
    const int64_t size = *settings.image_size;
    check_fits(settings.dataset, dataset.train.size() + dataset.test.size(), size, available_memory());
    dataset.train = resized_and_cropped(dataset.train, size);
    dataset.test = resized_and_cropped(dataset.test, size);
  }
  return dataset;
}

}  // namespace

void apply_arguments(Settings& settings, const Arguments& arguments) {
  if (!arguments.config.empty()) apply_toml_file(settings, arguments.config);
  apply_overrides(settings, arguments.settings);
}

Settings new_settings(const Arguments& arguments, const std::optional<Checkpoint>& init) {
  Settings settings;
  if (init) apply_toml(settings, to_toml(settings_of(*init), Selection::network), init->where);
  apply_arguments(settings, arguments);
  resolve(settings);
  return settings;
}

int64_t evaluation_batch(Device device) {
  return device.is_cpu() ? 128 : 500;
}

Device prepare_device(const Settings& settings) {
  if (settings.threads > 0) set_num_threads(static_cast<int>(settings.threads));
  kernels::cpu_variant();  // a wrong FOVEA_CPU is told before anything is read
  const Device device = parse_device(settings.device);
  const Precision precision = settings.training.precision;
  check<UsageError>(device.is_cuda() || precision == Precision::f32 || precision == Precision::bf16,
                    "precision: ", name_of(precision),
                    " needs a CUDA device, and the device is the CPU; wanted f32 or bf16");
  check<UsageError>(has_bf16(device) || precision == Precision::f32 || precision == Precision::f16,
                    "precision: ", name_of(precision),
                    " needs a GPU of compute capability 8.0 or later, and ", device, " is ", describe(device),
                    "; wanted f16 or f32");
  return device;
}

TrainingSettings training_settings(const Settings& settings, int64_t train_images) {
  TrainingSettings training = settings.training;
  if (training.epochs == 0) {
    const int64_t batches = std::max<int64_t>(1, train_images / training.batch_size);  // the rest is left out
    training.epochs = (training.max_steps + batches - 1) / batches;
    training.schedule.horizon = training.max_steps;
  }
  const std::optional<Augmentation>& augmentation = training.augmentation;
  if (augmentation && *augmentation == Augmentation{.padding = 0, .flip = false})
    training.augmentation.reset();
  training.evaluation_batch_size = evaluation_batch(parse_device(settings.device));
  training.exact_every = settings.save_every;
  return training;
}

int64_t image_size(const Settings& settings) {
  return settings.image_size.value_or(model_input_size(settings.model, settings.network));
}

void check_image_size(const Settings& settings) {
  if (!settings.image_size) return;
  const int64_t least = smallest_input_size(settings.model, settings.network);
  check<UsageError>(*settings.image_size >= least, "settings: image-size is ", *settings.image_size, ", and ",
                    settings.model, " halves images more often than that allows; wanted at least ", least);
}

OwnImages list_own_images(const Settings& settings) {
  check<UsageError>(!settings.data.empty(), "dataset: ", settings.dataset,
                    " is a folder of your own; --data names it");
  OwnImages images =
      settings.dataset == kNpyFolder ? list_npy_folder(settings.data) : list_image_folder(settings.data);
  const bool has_test = images.test.size() > 0, has_validation = images.validation.size() > 0;
  take_test_share(images, settings.test_share.value_or(kTestShare));
  std::string note;
  if (!has_test && has_validation && images.train.size() > 0) note = ": the part val is the test set";
  if (!has_test && !has_validation) {
    note = fmt::format(": {:g} of each class {} the test set, the same for every seed (--test-share)",
                       settings.test_share.value_or(kTestShare), images.train.size() > 0 ? "is" : "are");
  }
  show(on_one_line(fmt::format("{}: {}: {}{}", settings.dataset, settings.data, describe_own(images), note)) +
       "\n");
  return images;
}

Dataset load_images(const Settings& settings) {
  check_image_size(settings);
  Dataset dataset = load_first(settings, {settings.limit, settings.test_limit});
  check<DataError>(dataset.train.size() > 0 && dataset.test.size() > 0, "dataset: ", settings.dataset, ": ",
                   settings.data, " has no images to ", dataset.train.size() > 0 ? "test" : "train",
                   " with, wanted some; name another folder with --data, or a --test-share below 1");
  return dataset;
}

std::unique_ptr<Model> make_network(const Settings& settings, int64_t classes, uint64_t seed) {
  ModelOptions options = settings.network;
  options.classes = classes;
  if (settings.image_size) options.input_size = settings.image_size;
  return make_model(settings.model, options, seed);
}

ImageSet hold_out_validation(Settings& settings, Dataset& dataset) {
  ImageSet& train = dataset.train;
  const int64_t given = dataset.validation.size();
  if (given > 0 && settings.validation != 0) {
    check<UsageError>(settings.validation.value_or(given) == given, "settings: validation is ",
                      settings.validation.value_or(0), ", and ", settings.data, " has a part of ", given,
                      " images for that; leave it out, or give 0 to decide by none");
    settings.validation = given;
    return dataset.validation;
  }
  if (!settings.validation) settings.validation = train.size() / 10;
  const int64_t count = *settings.validation;
  const bool is_limited = settings.limit > 0;
  check<UsageError>(train.size() > count, "settings: validation is ", count, ", and ", settings.dataset,
                    " has ", train.size(), " training images", is_limited ? " with this limit" : "",
                    "; wanted fewer, so that some are left to train with");
  if (count == 0) return {};
  return hold_out(train, count, settings.training.seed);
}

ImageSet load_split(const Settings& settings, const Arguments& arguments) {
  const int64_t limit = arguments.limit.value_or(0);
  const auto checked = [&](ImageSet set) {
    check<DataError>(set.size() > 0, "dataset: ", settings.dataset, ": ", settings.data, " has no ",
                     arguments.split, " images; name another --split");
    return set;
  };
  if (arguments.split == "test")
    return checked(
        load_first(settings,
                   {.train_limit = 1, .test_limit = limit, .has_train = false, .has_validation = false})
            .test);
  Settings of_run = settings;
  if (!of_run.validation) of_run.validation = 0;
  check<UsageError>(
      arguments.split == "train" || *of_run.validation > 0,
      "--split validation: the network was trained without held-out images; wanted train or test");
  Dataset dataset = load_first(settings, {.train_limit = settings.limit, .test_limit = 1, .has_test = false});
  checked(dataset.train);
  const ImageSet validation = hold_out_validation(of_run, dataset);
  const ImageSet chosen = checked(arguments.split == "train" ? dataset.train : validation);
  return limit > 0 ? chosen.first(limit) : chosen;
}

std::map<std::string, std::string> checkpoint_info(const Settings& settings,
                                                   const std::vector<std::string>& class_names) {
  std::string names;
  for (const std::string& name : class_names) names += name + "\n";
  return {{kSettingsKey, to_toml(settings, Selection::shaping)}, {kClassNamesKey, names}};
}

Settings settings_of(const Checkpoint& checkpoint) {
  Settings settings;
  const std::string& text = info_of(checkpoint, kSettingsKey);
  check<CheckpointError>(text.size() <= kMaxSettingsBytes, "checkpoint: ", checkpoint.where,
                         ": its settings have ", text.size(), " bytes, at most ", kMaxSettingsBytes,
                         " are allowed; ", kWanted);
  try {
    apply_toml(settings, text, "the settings in " + checkpoint.where);
  } catch (const UsageError& error) {
    throw CheckpointError(error.what());
  }
  return settings;
}

Checkpoint read_named_checkpoint(const std::string& path) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(path, ignored)) return read_checkpoint(path);
  const RunFolder folder(path);
  for (const std::string& file : {folder.best(), folder.last()}) {
    if (!std::filesystem::exists(file, ignored)) continue;
    show(printable(fmt::format("checkpoint: {}\n", file)));
    return read_checkpoint(file);
  }
  throw CheckpointError(str("checkpoint: ", path,
                            " is a folder without best.safetensors and last.safetensors; "
                            "name a file that cifar_trainer train wrote, or its folder"));
}

std::string describe_knowledge(const Checkpoint& checkpoint) {
  constexpr size_t kShown = 10;
  const std::vector<std::string> names = class_names_of(checkpoint);
  std::string text;
  for (size_t i = 0; i < std::min(names.size(), kShown); ++i) text += (i > 0 ? ", " : "") + names[i];
  if (names.size() > kShown) text += fmt::format(", and {} more", names.size() - kShown);
  return printable(fmt::format("the network knows the {} classes of {}: {}", names.size(),
                               settings_of(checkpoint).dataset, text));
}

Settings settings_for_use(const Checkpoint& checkpoint, const Arguments& arguments) {
  Settings settings = settings_of(checkpoint);
  int64_t& batch_size = settings.training.batch_size;
  batch_size = 0;  // until a flag says otherwise
  settings.training.precision = Precision::f32;
  apply_overrides(settings, arguments.settings);
  if (batch_size == 0) batch_size = evaluation_batch(parse_device(settings.device));
  return settings;
}

int64_t class_count(const Checkpoint& checkpoint) {
  const std::string& names = info_of(checkpoint, kClassNamesKey);
  const int64_t classes =
      std::count(names.begin(), names.end(), '\n') + (names.empty() || names.ends_with('\n') ? 0 : 1);
  const auto weight = find_last_layer(checkpoint.model);
  check<CheckpointError>(weight != checkpoint.model.end(), "checkpoint: ", checkpoint.where,
                         " has no weight \"", kLastLayer, "\" [classes, channels]; ", kWanted);
  const Shape shape = weight->tensor.shape();
  check<CheckpointError>(shape[0] == classes, "checkpoint: ", checkpoint.where, " names ", classes,
                         " classes, and its last layer has ", shape[0], " outputs; ", kWanted);
  constexpr int64_t kFew = 1000;
  if (classes <= kFew) return classes;
  // A weight of many rows without columns is no bytes in a file, and many in a network.
  const Settings settings = settings_of(checkpoint);
  const std::vector<NamedTensor> small = weights_of(*make_network(settings, /*classes=*/1, /*seed=*/0));
  const int64_t channels = find_last_layer(small)->tensor.shape(1);
  check<CheckpointError>(shape[1] == channels, "checkpoint: ", checkpoint.where, ": its last layer has ",
                         shape[1], " channels, that of ", settings.model, " has ", channels, "; ", kWanted);
  return classes;
}

std::vector<std::string> class_names_of(const Checkpoint& checkpoint) {
  std::vector<std::string> names;
  names.reserve(static_cast<size_t>(class_count(checkpoint)));
  std::istringstream lines(info_of(checkpoint, kClassNamesKey));
  lines.exceptions(std::ios_base::badbit);  // without memory it would end early
  for (std::string name; std::getline(lines, name);) names.push_back(name);
  return names;
}

Classifier load_classifier(const Checkpoint& checkpoint, Device device, Precision precision) {
  const Settings settings = settings_of(checkpoint);
  Classifier classifier(make_network(settings, class_count(checkpoint), /*seed=*/0), checkpoint.normalisation,
                        checkpoint.info);
  classifier.load(checkpoint);
  const auto narrow =
      std::count_if(checkpoint.model.begin(), checkpoint.model.end(), [](const NamedTensor& entry) {
        return entry.tensor.dtype() == Dtype::f16 || entry.tensor.dtype() == Dtype::bf16;
      });
  if (narrow > 0) {
    show(fmt::format("{} weights of {} are f16 or bf16, and were converted to f32, exactly\n", narrow,
                     printable(checkpoint.where)));
  }
  move_to(classifier.model(), device);
  set_precision(classifier.model(), precision);
  return classifier;
}

std::string advice_on_non_finite(Model& model, Precision precision) {
  const std::string weight = non_finite_weight(model);
  if (!weight.empty()) return weight + "; take a checkpoint from before that";
  return str("its weights are finite, what is computed with them in ", name_of(precision),
             " overflows; take an earlier checkpoint", precision == Precision::f16 ? ", or bf16 or f32" : "");
}

}  // namespace fovea::cli
