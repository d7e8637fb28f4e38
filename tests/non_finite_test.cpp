// Numbers that are not finite are said, and nothing is made of them.
#include <catch2/catch.hpp>
#include <limits>

#include "commands.h"
#include "fovea/core/check.h"
#include "fovea/models/zoo.h"
#include "setup.h"
#include "temporary_folder.h"
#include "tiny_classifier.h"

namespace fovea {
namespace {

/// A tiny model whose evaluations number `first`, ... `last` (1, 2, ...) overflow, and no training.
struct OverflowingModel : test::TinyModel {
  OverflowingModel(int first_, int last_) : TinyModel(1), first(first_), last(last_) {}

  Variable forward(const Variable& x) override {
    const Variable y = TinyModel::forward(x);
    if (is_training()) return y;
    ++evaluations;
    return first <= evaluations && evaluations <= last ? F::scale(y, std::numeric_limits<float>::infinity())
                                                       : y;
  }

  int first, last, evaluations = 0;
};

std::vector<EpochReport> epochs_of(int first, int last, TrainingResult& result) {
  Classifier classifier(std::make_unique<OverflowingModel>(first, last), {});
  TrainingSettings settings = test::tiny_settings();
  std::vector<EpochReport> reports;
  settings.hooks.on_epoch = [&](const EpochReport& report) { reports.push_back(report); };
  const ImageSet evaluation_set = test::tiny_images(13, 2);
  result = classifier.train(test::tiny_images(35, 1), settings, &evaluation_set);
  return reports;
}

TEST_CASE("non-finite: an evaluation is never the best") {
  TrainingResult result;
  std::vector<EpochReport> reports = epochs_of(1, 1, result);
  REQUIRE(reports.size() == 3);
  CHECK_FALSE(reports[0].evaluation->is_finite());
  CHECK_FALSE(reports[0].is_best);
  CHECK(reports[1].is_best);
  CHECK(result.best_epoch >= 2);

  reports = epochs_of(2, 3, result);
  CHECK(reports[0].is_best);
  CHECK(result.best_epoch == 1);
  CHECK(result.best_accuracy == reports[0].evaluation->accuracy);

  reports = epochs_of(1, 3, result);
  CHECK((!reports[0].is_best && !reports[1].is_best && !reports[2].is_best));
  CHECK(result.best_epoch == 0);
}

/// A checkpoint of the command line's smallest network.
Checkpoint nano_checkpoint() {
  cli::Settings settings;
  settings.model = "attention-nano";
  settings.dataset = "synthetic";
  const std::vector<std::string> names(10, "shape");
  ModelOptions options = settings.network;
  options.classes = 10;
  return Classifier(make_model(settings.model, options, /*seed=*/1), {},
                    cli::checkpoint_info(settings, names))
      .checkpoint();
}

/// "exit code: message" of a command; "0" if it succeeds.
template <class Command>
std::string outcome_of(const Command& command, std::vector<const char*> words) {
  words.insert(words.begin(), "cifar_trainer");
  const auto arguments = cli::parse_command_line(static_cast<int>(words.size()), words.data()).value();
  try {
    return std::to_string(command(arguments));
  } catch (const Error& error) {
    return std::to_string(error.exit_code()) + ": " + error.what();
  }
}

TEST_CASE("non-finite: evaluate and predict say so and fail") {
  const TemporaryFolder folder;
  const std::string path = folder / "net.safetensors", csv = folder / "classes.csv";
  const Checkpoint checkpoint = nano_checkpoint();
  const auto outcomes = [&] {
    write_checkpoint(path, checkpoint);
    const std::vector<const char*> flags = {"--checkpoint", path.c_str(), "--limit", "3"};
    std::vector<const char*> evaluate = {"evaluate"}, predict = {"predict", "--out", csv.c_str()};
    evaluate.insert(evaluate.end(), flags.begin(), flags.end());
    predict.insert(predict.end(), flags.begin(), flags.end());
    return std::pair{outcome_of(cli::evaluate, evaluate), outcome_of(cli::predict, predict)};
  };
  CHECK(outcomes() == std::pair<std::string, std::string>{"0", "0"});
  std::filesystem::remove(csv);

  for (const NamedTensor& entry : checkpoint.model) {  // finite, but their products are not
    if (entry.tensor.rank() > 1) Tensor(entry.tensor).copy_from(Tensor::full(entry.tensor.shape(), 3e38));
  }
  const auto [evaluated, predicted] = outcomes();
  CHECK_THAT(evaluated, Catch::StartsWith("1: evaluate: the loss is") &&
                            Catch::Contains("3 images of synthetic") && Catch::Contains(path) &&
                            Catch::Contains("its weights are finite"));
  CHECK_THAT(predicted, Catch::StartsWith("1: predict: the probabilities of image 0 are not finite"));
  CHECK_FALSE(std::filesystem::exists(csv));
}

}  // namespace
}  // namespace fovea
