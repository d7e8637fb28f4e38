// The program among others: terminals, pipes and logs that go away.
#include <catch2/catch.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "trainer_program.h"

using namespace fovea;
using Catch::Matchers::Contains;
using Json = nlohmann::json;

namespace {

// Runs it in a shell, which sees it as "$@", with what `script` does around it.
Outcome in_shell(const std::string& script, const Words& words) {
  Words all = {"/bin/bash", "-c", script, "bash"};
  for (const std::string& word : command(words)) all.push_back(word);
  return run_program(all);
}

// A run of two steps, made once.
const std::string& short_checkpoint() {
  static const TemporaryFolder folder;
  static const std::string path = [] {
    REQUIRE(trainer(short_run(folder / "run", {"--max-steps", "2"})).code == 0);
    return folder / "run/last.safetensors";
  }();
  return path;
}

}  // namespace

TEST_CASE("trainer_process: standard error that is full or closed never ends the work") {
  const TemporaryFolder folder;
  const std::string lost = GENERATE("2>/dev/full", "2>&-", "2>&- </dev/null >&-", "2> >(true)");
  INFO(lost);
  const std::string out = folder / "run";
  CHECK(in_shell("\"$@\" " + lost, short_run(out, {"--max-steps", "2"})).code == 0);
  CHECK(file_bytes(out + "/last.safetensors") == file_bytes(short_checkpoint()));
  CHECK(Json::parse(file_bytes(out + "/summary.json"))["steps"] == 2);
  CHECK_THAT(file_bytes(out + "/settings.toml"), !Contains("parameters"));  // no log line in a file

  CHECK(in_shell("\"$@\" " + lost, {"train", "--modle", "x"}).code == 2);
  CHECK(in_shell("\"$@\" " + lost, {"train", "--data", folder / "nowhere", "--out", folder / "b"}).code == 3);
  CHECK(in_shell("\"$@\" " + lost, {"evaluate", "--checkpoint", folder / "none"}).code == 5);
  if (lost.find(">&- <") != std::string::npos) return;  // without standard output, too
  for (const char* use : {"evaluate", "predict"}) {
    const Words words = {use, "--checkpoint", short_checkpoint(), "--limit", "8"};
    const Outcome outcome = in_shell("\"$@\" " + lost, words);
    CHECK(outcome.code == 0);
    CHECK_FALSE(outcome.out.empty());
  }
}

TEST_CASE("trainer_process: a result that cannot be written is an error, a closed reader is none") {
  const Words predict = {"predict", "--checkpoint", short_checkpoint(), "--limit", "8"};
  const Words evaluate = {"evaluate", "--checkpoint", short_checkpoint(), "--limit", "8"};
  for (const Words& words : {predict, evaluate, Words{"info"}, Words{"devices"}, Words{"--help"}}) {
    INFO(words[0]);
    for (const char* lost : {"\"$@\" >/dev/full", "\"$@\" >&-"}) {
      const Outcome outcome = in_shell(lost, words);
      CHECK(outcome.code == 1);
      CHECK_THAT(outcome.err, Contains("cifar_trainer: cannot write to standard output: "));
    }
    // A reader that has gone before the first byte.
    const Outcome outcome = in_shell("exec 3> >(exec true); sleep 0.2; \"$@\" >&3", words);
    CHECK(outcome.code == 0);
    CHECK_THAT(outcome.err, !Contains("cifar_trainer: "));
  }
  CHECK(in_shell("\"$@\" >/dev/full", {"info", "--model", "x"}).code == 2);
}
