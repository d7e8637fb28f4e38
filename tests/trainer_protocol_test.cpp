// What a run is trained with, decided by and tested on, and recipes as a whole.
#include <catch2/catch.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "fovea/training/checkpoint.h"
#include "trainer_program.h"

using namespace fovea;
using Catch::Contains;
using Json = nlohmann::json;

namespace {

/// The flags of a run that says itself how many images it holds out.
Words held_out_run(const std::string& out, const std::string& limit, const Words& more) {
  Words words = {"train", "--dataset",    "synthetic", "--limit", limit, "--test-limit",
                 "32",    "--batch-size", "8",         "--out",   out};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

}  // namespace

TEST_CASE("trainer_protocol: without held-out images there is no best, and the last network is tested") {
  const TemporaryFolder folder;
  const std::string out = folder / "run";
  const Outcome outcome = trainer(held_out_run(out, "64", {"--validation", "0", "--epochs", "3"}));
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  const Json summary = Json::parse(file_bytes(out + "/summary.json"));
  CHECK(summary["steps"] == 24);
  CHECK(summary["validation_images"] == 0);
  for (const char* key : {"validation_loss", "validation_accuracy", "best_validation_accuracy"}) {
    CHECK(summary[key].is_null());
  }
  CHECK(summary["best_epoch"] == 0);
  CHECK(summary["tested_checkpoint"] == "last.safetensors");
  CHECK_FALSE(std::filesystem::exists(out + "/best.safetensors"));
  const Json report = Json::parse(trainer({"evaluate", "--checkpoint", out, "--limit", "32", "--json"}).out);
  CHECK(report["accuracy"] == summary["test_accuracy"]);
  CHECK_THAT(file_bytes(out + "/metrics.csv"), Contains(",,,"));
  check_failure({"evaluate", "--checkpoint", out, "--split", "validation"}, 2, "without held-out images");
}

TEST_CASE("trainer_protocol: a tenth of the images is held out by default, and kept in the checkpoint") {
  const TemporaryFolder folder;
  const std::string out = folder / "run";
  const Words words = held_out_run(out, "70", {"--max-steps", "2"});
  REQUIRE(trainer(words).code == 0);
  CHECK(Json::parse(file_bytes(out + "/summary.json"))["validation_images"] == 7);
  CHECK_THAT(file_bytes(out + "/settings.toml"), Contains("validation = 7"));
  check_failure({"train", "--resume", "--out", out, "--validation", "8"}, 2,
                "validation is 8, but the run to be continued has 7");
  check_failure(held_out_run(folder / "other", "80", {"--validation", "80"}), 2,
                "validation is 80, and synthetic has 80 training images with this limit");
}

TEST_CASE("trainer_protocol: wrong labels change what is learnt, and not what is tested") {
  const TemporaryFolder folder;
  const auto weights = [&](const std::string& name, const Words& more) {
    Words words = short_run(folder / name, {"--max-steps", "2"});
    words.insert(words.end(), more.begin(), more.end());
    REQUIRE(trainer(words).code == 0);
    return read_checkpoint(folder / name + "/last.safetensors").model[0].tensor.to_doubles();
  };
  const std::vector<double> clean = weights("clean", {});
  CHECK(weights("same", {"--label-noise", "0"}) == clean);
  CHECK(weights("noisy", {"--label-noise", "0.5"}) != clean);
  check_failure(short_run(folder / "more", {"--label-noise", "2"}), 2, "label-noise");
}

TEST_CASE("trainer_protocol: every recipe is resumed to the same bytes") {
  const TemporaryFolder folder;
  const Words recipe = {"--optimiser",
                        "muon",
                        "--ema-decay",
                        "0.9",
                        "--clip-norm",
                        "1",
                        "--accumulation",
                        "2",
                        "--mixup",
                        "0.5",
                        "--cutmix",
                        "1",
                        "--random-erasing",
                        "0.5",
                        "--cutout",
                        "4",
                        "--alternating-flip",
                        "--label-smoothing",
                        "0.1",
                        "--label-noise",
                        "0.2",
                        "--lr",
                        "0.05"};
  const auto run = [&](const std::string& name, const Words& more) {
    Words words = short_run(folder / name, recipe);
    words.insert(words.end(), more.begin(), more.end());
    const Outcome outcome = trainer(words);
    INFO(outcome.err);
    REQUIRE(outcome.code == 0);
  };
  run("whole", {});
  run("parts", {"--max-steps", "11", "--threads", "1"});
  REQUIRE(
      trainer({"train", "--resume", "--max-steps", "0", "--threads", "2", "--out", folder / "parts"}).code ==
      0);
  CHECK(file_bytes(folder / "parts/last.safetensors") == file_bytes(folder / "whole/last.safetensors"));
}
