// Where a run goes on: what --resume FILE, --resume FOLDER and --resume auto mean.
#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "fovea/training/checkpoint.h"
#include "trainer_program.h"

using namespace fovea;
using Catch::Matchers::Contains;
using Json = nlohmann::json;

namespace {

bool is_same(const std::string& file, const std::string& other) {
  const std::string bytes = file_bytes(file);
  return !bytes.empty() && bytes == file_bytes(other);
}

// The same, ended after `steps` of its 24.
void begin_run(const std::string& out, const char* steps) {
  const Outcome outcome = trainer(short_run(out, {"--max-steps", steps, "--save-every", "5"}));
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
}

void check_whole(const std::string& out) {
  CHECK(is_same(out + "/last.safetensors", finished_run() + "/last.safetensors"));
  CHECK(read_checkpoint(out + "/best.safetensors").progress.best_epoch ==
        read_checkpoint(finished_run() + "/best.safetensors").progress.best_epoch);
  const std::string metrics = file_bytes(out + "/metrics.csv");
  CHECK(std::count(metrics.begin(), metrics.end(), '\n') == 4);  // header and three epochs
  CHECK(Json::parse(file_bytes(out + "/summary.json"))["steps"] == 24);
}

}  // namespace

TEST_CASE("trainer_resume: a file goes on in its folder, a folder from its last checkpoint") {
  const TemporaryFolder folder;
  const std::string out = folder / "run";
  begin_run(out, "16");
  const std::string named = GENERATE("", "/", "/last.safetensors");
  INFO(named);
  const Outcome outcome = trainer({"train", "--resume", out + named, "--max-steps", "0"});
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  check_whole(out);
}

TEST_CASE("trainer_resume: a bare file name goes on in the current folder") {
  const TemporaryFolder folder;
  const std::string out = folder / "run";
  begin_run(out, "16");
  Words words = {"/bin/sh", "-c", "cd \"$0\" && exec \"$@\"", out};
  for (const std::string& word : command({"train", "--resume", "last.safetensors", "--max-steps", "0"})) {
    words.push_back(word);
  }
  const Outcome outcome = run_program(words);
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  check_whole(out);
  CHECK_FALSE(std::filesystem::exists(out + "/runs"));
}

TEST_CASE("trainer_resume: with --out, table, best checkpoint and settings are carried over") {
  const TemporaryFolder folder;
  const std::string out = folder / "run", other = folder / "deep/other";
  begin_run(out, "16");
  const Outcome outcome =
      trainer({"train", "--resume", out, "--max-steps", "0", "--out", other, "--threads", "1"});
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  check_whole(other);
  CHECK_THAT(file_bytes(other + "/settings.toml"), Contains("save-every = 5"));
  CHECK(read_checkpoint(out + "/last.safetensors").progress.step == 16);  // left as it was
  check_failure({"train", "--resume", out, "--out", other}, 2, "holds another run");
}

TEST_CASE("trainer_resume: best and data are there before the first step in the other folder") {
  const TemporaryFolder folder;
  const std::string out = folder / "run", other = folder / "other";
  begin_run(out, "16");
  // Nothing is left to do, so nothing is written that was not carried over.
  REQUIRE(trainer({"train", "--resume", out + "/last.safetensors", "--out", other}).code == 0);
  for (const char* name : {"/best.safetensors", "/metrics.csv", "/last.safetensors"}) {
    INFO(name);
    CHECK(is_same(other + name, out + name));
  }
  // A best checkpoint of an epoch that comes after the checkpoint in question is not that run's.
  const std::string later = folder / "later", early = later + "/early.safetensors";
  begin_run(folder / "short", "5");
  std::filesystem::copy(finished_run(), later);
  std::filesystem::copy_file(folder / "short/last.safetensors", early);
  REQUIRE(read_checkpoint(later + "/best.safetensors").progress.best_epoch > 0);
  const std::string from_early = folder / "from-early";
  REQUIRE(trainer({"train", "--resume", early, "--out", from_early}).code == 0);
  CHECK(read_checkpoint(from_early + "/best.safetensors").progress.step == 5);
}

TEST_CASE("trainer_resume: auto begins, goes on, and has nothing left to do, by one command") {
  const TemporaryFolder folder;
  const std::string out = folder / "run";
  // What a run leaves that was killed before its first save.
  write_file(out + "/settings.toml", "");
  write_file(out + "/metrics.csv", "epoch\n");
  check_failure(short_run(out), 2, "already holds a run");
  const Words words = short_run(out, {"--resume", "auto", "--save-every", "1"});
  Program program(command(words));
  program.wait_until([&] { return std::filesystem::exists(out + "/last.safetensors"); });
  program.kill(SIGKILL);
  program.wait();
  const Outcome outcome = trainer(words);
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  check_whole(out);
  const Outcome again = trainer(words);
  CHECK(again.code == 0);
  CHECK_THAT(again.err, Contains("nothing was left to do"));

  // Cut off between the saves of the best and the last checkpoint of an epoch.
  std::filesystem::remove(out + "/last.safetensors");
  REQUIRE(trainer(words).code == 0);
  check_whole(out);
  check_failure(short_run(out, {"--resume", "auto", "--overwrite"}), 2, "excludes");
}

TEST_CASE("trainer_resume: a file that is not there leaves nothing behind") {
  const TemporaryFolder folder;
  check_failure({"train", "--resume", folder / "none/last.safetensors"}, 5, "none/last.safetensors");
  CHECK_FALSE(std::filesystem::exists(folder / "none"));
  std::filesystem::create_directory(folder / "empty");
  check_failure({"train", "--resume", folder / "empty"}, 5, "empty/last.safetensors");
  CHECK(std::filesystem::is_empty(folder / "empty"));
}

TEST_CASE("trainer_resume: a settings file that a power loss has spoilt is said, and no obstacle") {
  const TemporaryFolder folder;
  const std::string out = folder / "run", settings = out + "/settings.toml";
  begin_run(out, "16");
  const std::string spoilt =
      GENERATE(std::string(300, '\0'), std::string(), std::string("lr = 0.1\nmodel = \"at"));
  write_bytes(settings, spoilt);
  const Outcome outcome = trainer({"train", "--resume", out, "--max-steps", "0"});
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  CHECK_THAT(outcome.err, Contains(settings) && Contains("going on with the settings in the checkpoint"));
  check_whole(out);
  CHECK_THAT(file_bytes(settings), Contains("model = \"attention-nano\""));
}

TEST_CASE("trainer_resume: a settings file with a wrong value was edited, and is an error") {
  const TemporaryFolder folder;
  const std::string out = folder / "run";
  begin_run(out, "16");
  write_bytes(out + "/settings.toml", "thread = 2\n");
  check_failure({"train", "--resume", out}, 2,
                "settings.toml:1: there is no setting \"thread\"; did you mean threads?");
}
