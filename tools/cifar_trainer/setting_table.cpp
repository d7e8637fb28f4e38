#include <utility>

#include "fovea/data/datasets.h"
#include "fovea/models/zoo.h"
#include "settings.h"

namespace fovea::cli {
namespace {

using S = Settings;

// Collects settings under a heading.
struct Group {
  std::vector<Setting>& table;
  std::string name;

  Setting& any(const char* key, Field field, const char* help) {
    return table.emplace_back(Setting{key, field, name, help});
  }
  Setting& range(const char* key, Field field, double least, double most, const char* help) {
    Setting& setting = any(key, field, help);
    setting.least = least;
    setting.most = most;
    return setting;
  }
  Setting& choice(const char* key, Field field, std::vector<std::string> choices, const char* help) {
    Setting& setting = any(key, field, help);
    setting.choices = std::move(choices);
    return setting;
  }
};

// The result is the same with another value.
void neutral(Setting& setting) {
  setting.shapes_result = false;
}

std::vector<Setting> make_table() {
  constexpr double kMany = 1e12;
  std::vector<Setting> table;

  Group model{table, kNetworkGroup};
  model.choice("model", &S::model, model_names(), "the network");
  model.range("p", &S::p, 1, 16, "residual units before, and again after the two branches of a module");
  model.range("t", &S::t, 1, 16, "residual units in the trunk branch");
  model.range("r", &S::r, 1, 16, "residual units between poolings in the mask branch");
  model.choice("attention", &S::attention, {"mixed", "channel", "spatial"}, "normalisation of the mask");
  model.choice("merge", &S::merge, {"residual", "naive"}, "(1 + M) * T, or M * T");
  model.choice("mask", &S::mask, {"down-up", "local"}, "mask branch with poolings, or of local convolutions");
  model.any("extra-adds", &S::extra_adds, "also add the maps kept on the way down, and the trunk");

  Group data{table, "Data"};
  data.choice("dataset", &S::dataset, dataset_names(), "what to learn");
  neutral(data.any("data", &S::data, "folder that holds the files, or its parent"));
  data.any("limit", &S::limit, "only the first N training images; 0: all");
  data.any("test-limit", &S::test_limit, "only the first N test images; 0: all");
  data.range("pad", &S::pad, 0, 16, "zeros around a training image before its random crop, in pixels");
  data.any("flip", &S::flip, "flip half of the training images from left to right");

  Group training{table, "Training"};
  training.range("epochs", &S::epochs, 0, 1e6, "passes over the training images; 0: as max-steps says");
  training.range("max-steps", &S::max_steps, 0, kMany, "end after N steps; 0: as epochs says");
  training.range("batch-size", &S::batch_size, 1, 65536, "images in a step");
  training.choice("optimiser", &S::optimiser, {"sgd", "adamw"}, "rule of a step");
  training.range("lr", &S::lr, 0, 1000, "learning rate at its highest");
  training.choice("schedule", &S::schedule, {"constant", "steps", "cosine", "one-cycle"},
                  "course of the learning rate");
  training.range(
      "warm-up", &S::warm_up, 0, kMany,
      "steps in which the learning rate rises, or below 1 their share; default 0.25 for one-cycle");
  training.range(
      "milestones", &S::milestones, 0, kMany,
      "for steps: where the learning rate is multiplied, all as steps or all as shares of the run");
  training.range("decay-factor", &S::decay_factor, 0, 1, "for steps: what it is multiplied with");
  training.range("momentum", &S::momentum, 0, 1, "of sgd");
  training.any("nesterov", &S::nesterov, "of sgd: Nesterov's form of the momentum");
  training.range("beta1", &S::beta1, 0, 1, "of adamw");
  training.range("beta2", &S::beta2, 0, 1, "of adamw");
  training.range("epsilon", &S::epsilon, 0, 1, "of adamw");
  training.range("weight-decay", &S::weight_decay, 0, 1, "strength of the pull towards zero");
  training.any("decay-norm-and-bias", &S::decay_norm_and_bias, "weight decay on batch norm and biases too");
  training.range("label-smoothing", &S::label_smoothing, 0, 1,
                 "part of a label that is spread over all classes");
  training.any("seed", &S::seed, "of the initial values, the order and the augmentation");

  Group run{table, "Run"};
  neutral(run.any("device", &S::device, "auto, cpu, cuda or cuda:N"));
  run.choice("precision", &S::precision, {"f32", "tf32", "bf16", "f16"},
             "type of the activations; all but f32 need a CUDA device");
  neutral(run.range("threads", &S::threads, 0, 1024, "threads on the CPU; 0: one a core"));
  neutral(run.any("out", &S::out, "folder of the run; default runs/MODEL-DATASET"));
  neutral(run.range("save-every", &S::save_every, 0, kMany,
                    "save last.safetensors also every N steps; 0: after each epoch only"));
  return table;
}

}  // namespace

const std::vector<Setting>& setting_table() {
  static const std::vector<Setting> table = make_table();
  return table;
}

}  // namespace fovea::cli
