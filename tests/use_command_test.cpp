// Which network and which images the commands of cifar_trainer use, and how their flags are read.
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>

#include "image_file.h"
#include "trainer_program.h"

namespace fovea {
using Catch::Contains;

namespace {

// A picture of 32 x 32 grey pixels.
std::string grey_file(const TemporaryFolder& folder, const std::string& name = "photo.png") {
  write_file(folder / name, png_bytes(Tensor::full({32, 32, 3}, 90, Dtype::u8)));
  return folder / name;
}

std::string help_of(const std::string& name) {
  const Outcome outcome = trainer({name, "--help"});
  REQUIRE(outcome.code == 0);
  return outcome.out;
}

// How many images a run of attend drew: the first axis but one of the array of masks.
void check_drawn(const Words& more, const std::string& shape) {
  const TemporaryFolder folder;
  Words words = {"attend", "--checkpoint", finished_run(), "--out", folder / "m"};
  words.insert(words.end(), more.begin(), more.end());
  const Outcome outcome = trainer(words);
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  CHECK_THAT(file_bytes(folder / "m/masks.npy"), Contains("'shape': (3, " + shape + ", 32, 32)"));
}

}  // namespace

TEST_CASE("use_command: without files attend takes six images, with --limit 0 all that it may") {
  check_drawn({}, "6");
  check_drawn({"--limit", "2"}, "2");
  check_drawn({"--limit", "0"}, "64");
  CHECK_THAT(help_of("attend"), Contains("without files 6 of the") && Contains("0: as many as"));
  CHECK_THAT(help_of("predict"), Contains("0: all [0]"));
}

TEST_CASE("use_command: files and a dataset are not named at once") {
  const TemporaryFolder folder;
  const std::string photo = grey_file(folder), checkpoint = finished_run() + "/last.safetensors";
  const Words flags[] = {{"--dataset", "cifar10"}, {"--split", "test"}, {"--data", "folder"}};
  for (const Words& flag : flags) {
    check_failure({"predict", "--checkpoint", checkpoint, photo, flag[0], flag[1]}, 2,
                  "predict: " + photo + " is named, and with " + flag[0] + " a dataset");
    check_failure({"attend", "--checkpoint", checkpoint, photo, flag[0], flag[1], "--out", folder / "m"}, 2,
                  "attend: " + photo + " is named, and with " + flag[0] + " a dataset");
  }
}

TEST_CASE("use_command: a folder stands for its best checkpoint, or else the last") {
  namespace fs = std::filesystem;
  const TemporaryFolder folder;
  const std::string photo = grey_file(folder), run = folder / "run";
  fs::create_directory(run);
  check_failure({"predict", "--checkpoint", run, photo}, 5,
                run + " is a folder without best.safetensors and last.safetensors");
  for (const char* name : {"last.safetensors", "best.safetensors"}) {
    fs::copy_file(finished_run() + "/" + name, run + "/" + name);
    const Words uses[] = {{"predict", photo},
                          {"attend", photo, "--out", folder / "m"},
                          {"evaluate", "--limit", "4", "--json"},
                          {"info"}};
    for (const Words& use : uses) {
      Words of_folder = use, of_file = use;
      for (const auto& word : {std::string("--checkpoint"), run}) of_folder.push_back(word);
      for (const auto& word : {std::string("--checkpoint"), run + "/" + name}) of_file.push_back(word);
      const Outcome outcome = trainer(of_folder);
      INFO(use[0] << ": " << outcome.err);
      CHECK(outcome.code == 0);
      CHECK_THAT(outcome.err, Contains("checkpoint: " + run + "/" + name + "\n"));
      if (use[0] != "evaluate") CHECK(outcome.out == trainer(of_file).out);  // which has seconds
      if (use[0] == "evaluate") CHECK_THAT(outcome.out, Contains(run + "/" + name));
    }
  }
}

TEST_CASE("use_command: what the network knows is said where files are given") {
  const TemporaryFolder folder;
  const std::string photo = grey_file(folder), checkpoint = finished_run() + "/last.safetensors";
  const Words predict = {"predict", "--checkpoint", checkpoint};
  Words with_file = predict, with_dataset = predict;
  with_file.push_back(photo);
  with_dataset.insert(with_dataset.end(), {"--limit", "1"});
  const std::string known = "the network knows the 10 classes of synthetic: ";
  CHECK_THAT(trainer(with_file).err, Contains(known));
  CHECK_THAT(trainer(with_dataset).err, !Contains("the network knows"));
  CHECK_THAT(trainer({"attend", "--checkpoint", checkpoint, photo, "--out", folder / "m"}).err,
             Contains(known));
}

TEST_CASE("use_command: a flag for a number says what it wants") {
  const std::string checkpoint = finished_run() + "/last.safetensors";
  const auto check_flag = [](Words words, const std::string& flag, const std::string& value,
                             const std::string& wanted) {
    words.insert(words.end(), {flag, value});
    const Outcome outcome = trainer(words);
    INFO(outcome.err);
    CHECK(outcome.code == 2);
    CHECK(outcome.err == "cifar_trainer: " + flag + " is " + value + ", wanted " + wanted + "\n");
  };
  const std::string any = "a whole number, 0 or more";
  check_flag({"fetch", "cifar10"}, "--at-most", "-3", any);
  for (const char* value : {"x", "-1", "1.5", "3x", "99999999999999999999"}) {
    check_flag({"predict", "--checkpoint", checkpoint}, "--limit", value, any);
  }
  for (const char* value : {"0", "1000001", "-1"}) {
    check_flag({"predict", "--checkpoint", checkpoint}, "--top-k", value, "a whole number, 1 to 1000000");
  }
  check_flag({"train"}, "--profile", "0", "a whole number, 1 to 1000");
  check_flag({"info"}, "--classes", "ten", "a whole number, 1 or more");
  check_flag({"info"}, "--input-size", "0", "a whole number, 1 or more");
  check_flag({"evaluate", "--checkpoint", checkpoint}, "--split", "all", "train, validation or test");
}

TEST_CASE("use_command: the help is without the marks of the parser's checks") {
  for (const char* name : {"train", "evaluate", "predict", "attend", "info", "datasets", "fetch"}) {
    INFO(name);
    CHECK_THAT(help_of(name), !Contains("NONNEGATIVE") && !Contains(":{") && !Contains("INT in"));
  }
  for (const char* name : {"evaluate", "predict", "attend"}) {
    INFO(name);
    CHECK_THAT(help_of(name), !Contains("what to learn") && !Contains("images in a step") &&
                                  Contains("--split train|validation|test") && Contains("fashion-mnist"));
  }
}

TEST_CASE("use_command: a photo in the place of a checkpoint is called one") {
  const TemporaryFolder folder;
  check_failure({"info", "--checkpoint", grey_file(folder)}, 5,
                "photo.png: offset 0: a PNG image found, wanted a safetensors file");
}

TEST_CASE("use_command: datasets says where synthetic images come from, and starts errors with the subject") {
  CHECK(trainer({"datasets", "synthetic"}).out == "drawn from --seed\n");
  const TemporaryFolder folder;
  check_failure(
      {"evaluate", "--checkpoint", finished_run(), "--dataset", "cifar10", "--data", folder / "none"}, 3,
      "cifar_trainer: dataset: cifar10 not found");
  check_failure({"predict", "--checkpoint", finished_run(), folder / "none.png"}, 3,
                "cifar_trainer: image: " + folder / "none.png");
  check_failure({"info", "--checkpoint", folder / "none.safetensors"}, 5, "cifar_trainer: checkpoint: ");
}

TEST_CASE("use_command: predict looks at the place of its file before it does its work") {
  const TemporaryFolder folder;
  const std::string none = folder / "none", photo = grey_file(folder);
  // Not even the checkpoint is looked for before.
  const Words predict = {"predict", "--checkpoint", folder / "no.safetensors", photo, "--out"};
  const auto check_place = [&](const std::string& out, const std::string& message) {
    Words words = predict;
    words.push_back(out);
    check_failure(words, 2, "predict: --out is " + out + message);
  };
  check_place(none + "/p.csv", ", and there is no folder " + none + "; make it");
  std::filesystem::create_directory(folder / "p.csv");
  check_place(folder / "p.csv", ", which is a folder");
  if (geteuid() != 0) {
    std::filesystem::create_directory(none);
    std::filesystem::permissions(none, std::filesystem::perms(0500));
    check_place(none + "/p.csv", ", and nothing can be written into " + none + ": Permission denied");
  }
}

TEST_CASE("use_command: one epoch is one epoch") {
  const TemporaryFolder folder;
  const Outcome outcome = trainer({"train", "--dataset", "synthetic", "--limit", "8", "--test-limit", "4",
                                   "--batch-size", "8", "--epochs", "1", "--out", folder / "run"});
  INFO(outcome.err);
  CHECK(outcome.code == 0);
  CHECK_THAT(outcome.err, Contains("done after 1 epoch, 1 step, "));
}

TEST_CASE("use_command: fetch says what to name") {
  check_failure({"fetch"}, 2, "fetch: name a dataset: cifar10 or cifar100");
}

}  // namespace fovea
