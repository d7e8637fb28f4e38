// --init: a new run with given weights, also for another number of classes; and what is said of class names.
#include "initial_weights.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>

#include "fovea/models/zoo.h"
#include "trainer_program.h"

using namespace fovea;
using Catch::Contains;
using Json = nlohmann::json;

namespace {

std::unique_ptr<Model> network(int64_t classes, uint64_t seed, const char* name = "attention-nano") {
  ModelOptions options;
  options.classes = classes;
  return make_model(name, options, seed);
}

Checkpoint checkpoint_of(Model& model) {
  Checkpoint checkpoint;
  checkpoint.where = "there.safetensors";
  for (const NamedTensor& entry : weights_of(model)) {
    checkpoint.model.push_back({entry.name, entry.tensor.clone()});
  }
  return checkpoint;
}

std::vector<double> numbers_of(const Tensor& tensor) {
  return tensor.to_doubles();
}

constexpr const char* kClassNames = "cifar_trainer.class_names";

// A copy of a checkpoint in which the first class has another name.
void rename_class(const std::string& from, const std::string& to) {
  Checkpoint checkpoint = read_checkpoint(from);
  std::string& names = checkpoint.info.at(kClassNames);
  names = "zeppelin" + names.substr(names.find('\n'));
  write_checkpoint(to, checkpoint);
}

}  // namespace

TEST_CASE("initial_weights: all of the same network, all but the last layer for other classes") {
  const int64_t classes = GENERATE(10, 7);
  INFO(classes);
  const auto from = network(10, /*seed=*/1);
  const auto to = network(classes, /*seed=*/2), untouched = network(classes, /*seed=*/2);
  const Checkpoint checkpoint = checkpoint_of(*from);
  const cli::InitialWeights weights = cli::take_weights(checkpoint, 10, *to, classes);
  const size_t fresh = classes == 10 ? 0 : 2;
  CHECK(weights.fresh.size() == fresh);
  CHECK(weights.taken.size() + fresh == checkpoint.model.size());
  const auto now = weights_of(*to), before = weights_of(*untouched);
  for (size_t i = 0; i < now.size(); ++i) {
    INFO(now[i].name);
    const bool is_fresh = fresh > 0 && now[i].name.starts_with("linear.");
    CHECK(numbers_of(now[i].tensor) == numbers_of(is_fresh ? before[i].tensor : checkpoint.model[i].tensor));
  }
  const std::string text = weights.text("FILE");
  CHECK_THAT(text, Contains(std::to_string(weights.taken.size()) + " tensors taken from FILE"));
  if (fresh > 0) {
    CHECK_THAT(text, Contains("not taken") && Contains("linear.weight (f32[10, ") && Contains("here)") &&
                         Contains("linear.bias (f32[10] there, f32[7] here)"));
  }
}

TEST_CASE("initial_weights: those of 16 bits are converted exactly, and that is said") {
  const auto from = network(10, /*seed=*/1), to = network(10, /*seed=*/2);
  Checkpoint checkpoint = checkpoint_of(*from);
  for (NamedTensor& entry : checkpoint.model) {
    Tensor narrow = Tensor::empty(entry.tensor.shape(), Dtype::f16);
    for (int64_t i = 0; i < narrow.size(); ++i) narrow.data<f16>()[i] = f16(entry.tensor.data<float>()[i]);
    entry.tensor = narrow;
  }
  const cli::InitialWeights weights = cli::take_weights(checkpoint, 10, *to, 10);
  CHECK(weights.converted == checkpoint.model.size());
  CHECK_THAT(weights.text("FILE"),
             Contains(std::to_string(weights.converted) + " of them converted exactly"));
  const auto now = weights_of(*to);
  for (size_t i = 0; i < now.size(); ++i) {
    INFO(now[i].name);
    CHECK(now[i].tensor.to_doubles() == checkpoint.model[i].tensor.to_doubles());
  }
  checkpoint.others.push_back({checkpoint.model[0].name, "BOOL", {2}});
  checkpoint.model.erase(checkpoint.model.begin());
  CHECK_THROWS_WITH(cli::take_weights(checkpoint, 10, *to, 10), Contains("(BOOL[2] there, f32["));
}

TEST_CASE("initial_weights: another network, or numbers that are not finite, change nothing") {
  const auto to = network(10, /*seed=*/2), untouched = network(10, /*seed=*/2);
  const auto other = network(10, /*seed=*/1, "attention56");
  const std::string message =
      message_of<CheckpointError>([&] { cli::take_weights(checkpoint_of(*other), 10, *to, 10); });
  CHECK_THAT(message, Contains("init: there.safetensors is of another network: ") && Contains(" more; "));
  Checkpoint broken = checkpoint_of(*network(10, /*seed=*/1));
  broken.model.back().tensor.data<float>()[0] = std::numeric_limits<float>::quiet_NaN();
  CHECK_THAT(message_of<Error>([&] { cli::take_weights(broken, 10, *to, 10); }), Contains("not finite"));
  // The same shapes, but not because of the classes.
  const auto wide = network(12, /*seed=*/1);
  CHECK_THROWS_AS(cli::take_weights(checkpoint_of(*wide), 10, *to, 10), CheckpointError);
  const auto now = weights_of(*to), before = weights_of(*untouched);
  for (size_t i = 0; i < now.size(); ++i) CHECK(numbers_of(now[i].tensor) == numbers_of(before[i].tensor));
}

TEST_CASE("initial_weights: a run begins with them, at step 0, with the file's network") {
  const TemporaryFolder folder;
  const std::string out = folder / "run", from = finished_run() + "/last.safetensors";
  const std::string given_as = GENERATE(as<std::string>(), "file", "folder");
  // With such a learning rate the weights stay those that it began with.
  const Outcome outcome = trainer({"train",
                                   "--dataset",
                                   "synthetic",
                                   "--limit",
                                   "64",
                                   "--test-limit",
                                   "32",
                                   "--lr",
                                   "1e-30",
                                   "--init",
                                   given_as == "file" ? from : finished_run(),
                                   "--weight-decay",
                                   "0",
                                   "--schedule",
                                   "constant",
                                   "--max-steps",
                                   "1",
                                   "--batch-size",
                                   "8",
                                   "--seed",
                                   "5",
                                   "--out",
                                   out});
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  CHECK_THAT(outcome.err, Contains("tensors taken from " + from) && !Contains("not taken"));
  const Checkpoint begun = read_checkpoint(out + "/last.safetensors"), given = read_checkpoint(from);
  CHECK(begun.progress.step == 1);
  CHECK(begun.progress.epoch == 0);
  CHECK_THAT(begun.info.at("cifar_trainer.settings"), Contains("t = 1") && Contains("seed = 5"));
  for (size_t i = 0; i < given.model.size(); ++i) {
    if (given.model[i].name.find("running") != std::string::npos) continue;
    INFO(given.model[i].name);
    CHECK(numbers_of(begun.model[i].tensor) == numbers_of(given.model[i].tensor));
  }
  CHECK(begun.normalisation.mean == given.normalisation.mean);
  // The run goes on like any other.
  CHECK(trainer({"train", "--resume", out, "--max-steps", "2"}).code == 0);
}

TEST_CASE("initial_weights: not with --resume, but with --resume auto") {
  const TemporaryFolder folder;
  const std::string out = folder / "run", from = finished_run() + "/last.safetensors";
  check_failure({"train", "--init", from, "--resume", from}, 2, "--init begins a new run");
  check_failure(short_run(out, {"--init", folder / "none"}), 5, "none");
  check_failure(short_run(out, {"--init", from, "--r", "2"}), 5, "is of another network");
  CHECK_FALSE(std::filesystem::exists(out + "/last.safetensors"));
  const Words words = short_run(out, {"--init", from, "--resume", "auto", "--max-steps", "2"});
  CHECK_THAT(trainer(words).err, Contains("tensors taken"));
  CHECK_THAT(trainer(words).err, Contains("nothing was left to do") && !Contains("tensors taken"));
}

TEST_CASE("initial_weights: a finished run says how to go on, and that works") {
  const TemporaryFolder folder;
  const auto advice_for = [&](const char* epochs, const Words& more) {
    const std::string out = folder / more.back();
    Words words = short_run(out, more);
    *(std::find(words.begin(), words.end(), "--epochs") + 1) = epochs;
    REQUIRE(trainer(words).code == 0);
    const Outcome outcome = trainer({"train", "--resume", out});
    CHECK(outcome.code == 0);
    return outcome.err;
  };
  // As it is, the one-cycle schedule is laid over three epochs.
  const Outcome outcome = trainer({"train", "--resume", finished_run()});
  CHECK_THAT(outcome.err, Contains("nothing was left to do: the run in " + finished_run() +
                                   " is complete; the schedule of "
                                   "its learning rate ends there") &&
                              !Contains("raise") &&
                              Contains("train --init " + finished_run() + "/last.safetensors --out OTHER"));
  check_failure({"train", "--resume", finished_run(), "--epochs", "4"}, 2, "with --init");
  CHECK_THAT(advice_for("3", {"--max-steps", "2"}),
             Contains("raise --max-steps, or give 0 for all 3 epochs"));
  CHECK_THAT(advice_for("1", {"--schedule", "constant"}), Contains("for more, raise --epochs\n"));
  CHECK(trainer({"train", "--resume", folder / "constant", "--epochs", "2"}).code == 0);
  CHECK_THAT(advice_for("0", {"--schedule", "constant", "--max-steps", "1"}),
             Contains("for more, raise --max-steps\n"));
}

TEST_CASE("initial_weights: class names that are not known are no other ones") {
  const std::vector<std::string> cats = {"cat", "lion"}, dogs = {"cat", "wolf"}, unknown = {"0", "1"};
  CHECK(cli::other_class_names(cats, "FILE", cats, "DATA").empty());
  CHECK(cli::other_class_names(cats, "FILE", unknown, "DATA").empty());
  CHECK(cli::other_class_names(unknown, "FILE", dogs, "DATA").empty());
  CHECK(cli::other_class_names(cats, "FILE", {"a", "b", "c"}, "DATA").empty());  // refused elsewhere
  CHECK(cli::other_class_names(cats, "FILE", dogs, "DATA") ==
        "warning: FILE knows other classes than DATA: class 1 is \"lion\" there and \"wolf\" here");
}

TEST_CASE("initial_weights: other class names than the network's are said") {
  const TemporaryFolder folder;
  const std::string from = finished_run() + "/last.safetensors", renamed = folder / "renamed.safetensors";
  rename_class(from, renamed);
  const std::string warning = "warning: the network of " + renamed +
                              " knows other classes than synthetic: class 0 is \"zeppelin\" there and \"";
  const Outcome known = trainer({"evaluate", "--limit", "8", "--json", "--checkpoint", from});
  CHECK_THAT(known.err, !Contains("warning"));
  const Outcome other = trainer({"evaluate", "--limit", "8", "--json", "--checkpoint", renamed});
  CHECK(other.code == 0);
  CHECK_THAT(other.err, Contains(warning));
  CHECK(Json::parse(other.out)["images"] == 8);
  CHECK_THAT(trainer(short_run(folder / "new", {"--max-steps", "1", "--init", renamed})).err,
             Contains(warning));
  CHECK_THAT(trainer({"train", "--resume", renamed}).err, Contains(warning));
}
