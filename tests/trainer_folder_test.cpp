// Own images from a folder to a prediction: the program, on trees of PNG files and on arrays.
#include <algorithm>
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "fovea/data/synthetic.h"
#include "fovea/training/checkpoint.h"
#include "image_tree.h"
#include "npy_files.h"
#include "trainer_program.h"

using namespace fovea;
using Catch::Contains;
using Json = nlohmann::json;

namespace {

constexpr int64_t kTrain = 80, kTest = 32;

Words run_on(const std::string& dataset, const std::string& data, const std::string& out,
             const Words& more = {}) {
  Words words = short_run(out, {"--data", data});
  *(std::find(words.begin(), words.end(), "synthetic")) = dataset;
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

// The drawn images of short_run, as PNG files and as arrays.
const std::string& drawn() {
  static const TemporaryFolder folder;
  static const std::string root = [] {
    const auto put = [](const std::string& part, const ImageSet& set) {
      write_tree(folder / "tree/" + part, set);
      const auto bytes = set.images.span<uint8_t>();
      write_file(folder / "arrays/" + part + "-images.npy",
                 npy("|u1", "(" + std::to_string(set.size()) + ", 32, 32, 3)", {bytes.begin(), bytes.end()}));
      std::string digits;
      for (const int32_t label : set.labels.span<int32_t>()) digits += static_cast<char>('0' + label);
      write_file(folder / "arrays/" + part + "-labels.npy", npy_labels(digits));
    };
    put("train", synthetic_images(Split::train, kTrain, /*seed=*/1));
    put("test", synthetic_images(Split::test, kTest, /*seed=*/1));
    return folder.path().string();
  }();
  return root;
}

// A run on the tree at 24 pixels, two epochs.
const std::string& small_run() {
  static const TemporaryFolder folder;
  static const std::string out = [] {
    const Outcome outcome = trainer(
        run_on("folder", drawn() + "/tree", folder / "run", {"--image-size", "24", "--max-steps", "8"}));
    INFO(outcome.err);
    REQUIRE(outcome.code == 0);
    CHECK_THAT(outcome.err, Contains("112 of 112 images resized to 24x24 pixels, 0 of them cropped"));
    return folder / "run";
  }();
  return out;
}

bool have_same_numbers(const std::vector<NamedTensor>& one, const std::vector<NamedTensor>& other) {
  return std::ranges::equal(one, other, [](const NamedTensor& a, const NamedTensor& b) {
    return a.name == b.name && a.tensor.to_doubles() == b.tensor.to_doubles();
  });
}

}  // namespace

TEST_CASE("trainer_folder: the same images as files, arrays and drawn give the same checkpoint") {
  const TemporaryFolder folder;
  const Checkpoint wanted = read_checkpoint(finished_run() + "/last.safetensors");
  for (const std::string dataset : {"folder", "npy"}) {
    const std::string out = folder / dataset;
    const Outcome outcome =
        trainer(run_on(dataset, drawn() + (dataset == "folder" ? "/tree" : "/arrays"), out));
    INFO(outcome.err);
    REQUIRE(outcome.code == 0);
    const Checkpoint found = read_checkpoint(out + "/last.safetensors");
    CHECK(have_same_numbers(found.model, wanted.model));
    CHECK(have_same_numbers(found.optimiser, wanted.optimiser));
    CHECK(found.normalisation.mean == wanted.normalisation.mean);
    const Json mine = Json::parse(file_bytes(out + "/summary.json")),
               drawn_run = Json::parse(file_bytes(finished_run() + "/summary.json"));
    CHECK(mine["test_accuracy"] == drawn_run["test_accuracy"]);
    CHECK(mine["validation_images"] == 16);
  }
}

TEST_CASE("trainer_folder: a run at another size goes on bit for bit") {
  const TemporaryFolder folder;
  const Words size = {"--image-size", "24", "--save-every", "3"};
  Words begin = run_on("folder", drawn() + "/tree", folder / "paused", size);
  begin.insert(begin.end(), {"--max-steps", "11"});
  REQUIRE(trainer(begin).code == 0);
  REQUIRE(trainer(run_on("folder", drawn() + "/tree", folder / "whole", size)).code == 0);
  check_failure({"train", "--resume", "--out", folder / "paused", "--image-size", "32"}, 2,
                "image-size is 32, but the run to be continued has 24");
  const Outcome outcome = trainer({"train", "--resume", "--out", folder / "paused", "--max-steps", "0"});
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  CHECK(file_bytes(folder / "paused/last.safetensors") == file_bytes(folder / "whole/last.safetensors"));
}

TEST_CASE("trainer_folder: evaluate, predict, attend and info know the images' size and names") {
  const TemporaryFolder folder;
  const std::string run = small_run(), tree = drawn() + "/tree";
  const Words use = {"--checkpoint", run + "/last.safetensors", "--dataset", "folder", "--data", tree};
  const auto with = [&](Words words, const Words& more) {
    words.insert(words.end(), use.begin(), use.end());
    words.insert(words.end(), more.begin(), more.end());
    return trainer(words);
  };
  const Outcome evaluated = with({"evaluate"}, {"--json"});
  INFO(evaluated.err);
  REQUIRE(evaluated.code == 0);
  CHECK(Json::parse(evaluated.out)["images"] == kTest);
  CHECK_THAT(evaluated.err, Contains("32 of 32 images resized"));  // no other is read
  CHECK(Json::parse(evaluated.out)["accuracy"] ==
        Json::parse(file_bytes(run + "/summary.json"))["test_accuracy"]);
  CHECK(Json::parse(with({"evaluate"}, {"--json", "--split", "validation"}).out)["images"] == 16);

  const std::string whole = with({"predict"}, {"--top-k", "2"}).out,
                    first = whole.substr(whole.find('\n') + 1);
  CHECK(std::count(whole.begin(), whole.end(), '\n') == kTest + 1);
  const std::string file = first.substr(0, first.find(','));
  CHECK(file.starts_with(tree + "/test/"));
  // The file alone, which predict resizes itself.
  const Outcome alone = trainer({"predict", "--checkpoint", run, "--top-k", "2", file});
  CHECK_THAT(alone.out, Contains(first.substr(0, first.find('\n'))));
  CHECK_THAT(alone.err,
             Contains("resized to 24x24") && Contains("the network knows the 10 classes of folder: 0 "));

  CHECK(with({"attend"}, {"--out", folder / "masks", "--limit", "2"}).code == 0);
  CHECK_THAT(file_bytes(folder / "masks/masks.npy"), Contains("(3, 2, 24, 24)"));
  CHECK_THAT(trainer({"info", "--checkpoint", run}).out, Contains("for images of 24x24 and 10 classes"));
}

TEST_CASE("trainer_folder: an own validation part decides, and stays it when resumed") {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder / "data");
  for (const char* part : {"train", "val", "test"})
    std::filesystem::copy(drawn() + "/tree/" + (part == std::string("val") ? "test" : part),
                          folder / "data" + "/" + part, std::filesystem::copy_options::recursive);
  Words words = run_on("folder", folder / "data", folder / "run");
  words.erase(std::find(words.begin(), words.end(), "--validation"),
              std::find(words.begin(), words.end(), "--validation") + 2);
  Words wrong = words;
  wrong.insert(wrong.end(), {"--validation", "7"});
  check_failure(wrong, 2, "has a part of 32 images for that; leave it out, or give 0");
  words.insert(words.end(), {"--max-steps", "4"});
  const Outcome outcome = trainer(words);
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  CHECK(Json::parse(file_bytes(folder / "run/summary.json"))["validation_images"] == 32);
  CHECK(Json::parse(file_bytes(folder / "run/summary.json"))["train_images"] == kTrain);
  CHECK(trainer({"train", "--resume", "--out", folder / "run", "--max-steps", "5"}).code == 0);
}

TEST_CASE("trainer_folder: datasets counts what is in a folder, and says what is wrong with it") {
  const Outcome outcome =
      trainer({"datasets", "folder", "--data", drawn() + "/tree/train", "--test-share", "0.25"});
  CHECK(outcome.code == 0);
  CHECK(std::count(outcome.out.begin(), outcome.out.end(), '\n') == 11);
  CHECK_THAT(outcome.err,
             Contains("60 training and 20 test images of 10 classes: 0.25 of each class is the test set"));
  CHECK_THAT(trainer({"datasets"}).out, Contains("\nfolder ") && Contains("\nnpy "));
  check_failure({"datasets", "folder"}, 2, "folder is a folder of your own; --data names it");
  check_failure({"datasets", "npy", "--data", drawn() + "/tree"}, 3, "none of these arrays found");
  check_failure({"train", "--dataset", "folder", "--out", drawn() + "/run"}, 2, "--data names it");
}
