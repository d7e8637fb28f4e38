#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "command_line.h"
#include "fovea/data/datasets.h"
#include "fovea/models/zoo.h"
#include "fovea/training/classifier.h"
#include "own_images.h"

namespace fovea::cli {

/// Defaults, then the settings file, then the flags.
void apply_arguments(Settings& settings, const Arguments& arguments);
/// Those of a new run, resolved; the network is that of `init` unless they say otherwise.
Settings new_settings(const Arguments& arguments, const std::optional<Checkpoint>& init = {});

/// Sets the number of threads and gives the device that the settings ask for. DeviceError where it cannot be
/// used, UsageError where it does not have the precision.
Device prepare_device(const Settings& settings);

/// Images in a batch of an evaluation. On the CPU few enough to stop within seconds; on a device enough that
/// it is not bound by launches, and a divisor of the 10,000 of CIFAR's and MNIST's tests: one shape, whose
/// engines are chosen once.
int64_t evaluation_batch(Device device);
/// What Classifier::train gets. `train_images` settles the number of epochs where only max-steps is set.
TrainingSettings training_settings(const Settings& settings, int64_t train_images);
/// Height and width of the images of a dataset of the user's own, and of those that predict takes.
int64_t image_size(const Settings& settings);
/// UsageError for an image size that is too small for the network.
void check_image_size(const Settings& settings);
/// The images of --data, listed, for --dataset folder or npy. UsageError without --data.
OwnImages list_own_images(const Settings& settings);
/// The dataset, with `limit` and `test-limit` applied; DataError for one without a training part.
Dataset load_images(const Settings& settings);
/// The network of the settings, for so many classes, with initial values from `seed`.
std::unique_ptr<Model> make_network(const Settings& settings, int64_t classes, uint64_t seed);
/// The images to decide by: those of the validation setting, which is settled here if it was not, taken out
/// of those to train with; those that the dataset has for that, if it has some; an empty set for none.
ImageSet hold_out_validation(Settings& settings, Dataset& dataset);
/// The images that evaluate and predict use: --split, the first --limit of them. "train" and "validation" are
/// what the network's own run trained with, under clean labels, and held out.
ImageSet load_split(const Settings& settings, const Arguments& arguments);

/// The keys of that in a checkpoint's info: settings as TOML, and the names of the classes, one a line.
inline constexpr const char* kSettingsKey = "cifar_trainer.settings";
inline constexpr const char* kClassNamesKey = "cifar_trainer.class_names";
/// What a checkpoint keeps beside the numbers, so that the network can be built again from it alone.
std::map<std::string, std::string> checkpoint_info(const Settings& settings,
                                                   const std::vector<std::string>& class_names);
/// The checkpoint of --checkpoint: a file, or the folder of a run, which stands for its best.safetensors or,
/// without that, last.safetensors; which of them is said.
Checkpoint read_named_checkpoint(const std::string& path);
/// "the network knows the 10 classes of cifar10: airplane, ...", the first ten of them.
std::string describe_knowledge(const Checkpoint& checkpoint);
/// The settings kept there. CheckpointError for a checkpoint that another program wrote.
Settings settings_of(const Checkpoint& checkpoint);
/// The same for evaluate and predict, changed by the flags.
Settings settings_for_use(const Checkpoint& checkpoint, const Arguments& arguments);
/// How many classes its network tells apart, one for each name. CheckpointError unless its last layer has as
/// many outputs: nothing is built of names that a file only claims.
int64_t class_count(const Checkpoint& checkpoint);
std::vector<std::string> class_names_of(const Checkpoint& checkpoint);
/// The network of a checkpoint, with its weights, on a device.
Classifier load_classifier(const Checkpoint& checkpoint, Device device, Precision precision);
/// Why a network gives numbers that are not finite, and what to do: the end of an error message.
std::string advice_on_non_finite(Model& model, Precision precision);

}  // namespace fovea::cli
