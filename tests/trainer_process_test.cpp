// The program among others: terminals, pipes and logs that go away, other processes in its folder, signals.
#include <stdlib.h>
#include <algorithm>

#include <catch2/catch.hpp>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "terminal_program.h"
#include "trainer_program.h"

using namespace fovea;
using Catch::Contains;
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

TEST_CASE("trainer_process: a terminal that closes ends a run that is saved") {
  const TemporaryFolder folder;
  const std::string last = folder / "run/last.safetensors";
  TerminalProgram program(command(long_run(folder / "run")), {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO},
                          /*is_its_own=*/true);
  for (int i = 0; i < 30000 && !std::filesystem::exists(last); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  program.close_terminal();
  CHECK(program.wait() == 128 + SIGHUP);
  CHECK(Json::parse(file_bytes(folder / "run/summary.json"))["finished"] == false);
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

TEST_CASE("trainer_process: a folder in which a run goes on takes no second one") {
  const TemporaryFolder folder;
  const std::string out = folder / "new/run";
  Program first(command(long_run(out)));
  first.wait_until([&] { return std::filesystem::exists(out + "/last.safetensors"); });
  const std::string settings = file_bytes(out + "/settings.toml");
  const std::string owner = file_bytes(out + "/run.lock");
  CHECK(owner.find("process ") == 0);
  const std::string refused = out + " is in use: " + owner + " trains there";
  for (const Words& more : {Words{}, Words{"--overwrite"}, Words{"--resume"}}) {
    check_failure(short_run(out, more), 2, refused);
  }
  check_failure({"train", "--resume", short_checkpoint(), "--out", out + "/../run/"}, 2, "is in use");
  CHECK(file_bytes(out + "/settings.toml") == settings);

  // Killed, it leaves no lock; after its end nothing of it at all.
  first.kill(SIGKILL);
  CHECK(first.wait().code == 137);
  CHECK(trainer({"train", "--resume", "--max-steps", "1", "--out", out}).code == 0);
  CHECK_FALSE(std::filesystem::exists(out + "/run.lock"));
}

TEST_CASE("trainer_process: of runs that begin at once in one folder one trains, the others are refused") {
  const TemporaryFolder folder;
  for (int round = 0; round < 5; ++round) {
    const std::string out = folder / std::to_string(round);
    std::vector<std::unique_ptr<Program>> programs;
    for (int i = 0; i < 4; ++i) {
      programs.push_back(std::make_unique<Program>(
          command(short_run(out, {"--seed", std::to_string(i), "--max-steps", "1"}))));
    }
    int done = 0;
    for (const auto& program : programs) {
      const Outcome outcome = program->wait();
      INFO(outcome.err);
      CHECK((outcome.code == 0 || outcome.code == 2));
      done += outcome.code == 0 ? 1 : 0;
    }
    CHECK(done == 1);
    const std::string metrics = file_bytes(out + "/metrics.csv");
    CHECK(std::count(metrics.begin(), metrics.end(), '\n') == 2);
  }
}

TEST_CASE("trainer_process: a run that is refused leaves no folder behind") {
  const TemporaryFolder folder;
  check_failure(short_run(folder / "a/b/c", {"--precision", "f16", "--device", "cpu"}), 2, "f16");
  CHECK_FALSE(std::filesystem::exists(folder / "a"));
  write_file(folder / "file", "text");
  check_failure(short_run(folder / "file"), 1, "cannot make the folder");
  check_failure(short_run(folder / "file/b"), 1, "cannot make the folder");
  check_failure(short_run("/proc/run"), 1, "cannot make the folder");
  std::filesystem::create_symlink(folder / "victim", folder / "link");
  check_failure(short_run(folder / "link"), 1, "cannot make the folder");
  std::filesystem::create_directory(folder / "odd");
  std::filesystem::create_symlink(folder / "victim", folder / "odd/run.lock");
  check_failure(short_run(folder / "odd"), 1, "cannot lock the folder");
  CHECK_FALSE(std::filesystem::exists(folder / "victim"));
  CHECK(file_bytes(folder / "file") == "text");
}

TEST_CASE("trainer_process: what batch systems and terminals send saves and stops") {
  const TemporaryFolder folder;
  const int signal = GENERATE(SIGHUP, SIGUSR1, SIGUSR2, SIGXCPU);
  INFO(signal);
  const std::string out = folder / "run", last = out + "/last.safetensors";
  Program program(command(long_run(out)));
  program.wait_until([&] { return std::filesystem::exists(last); });
  program.kill(signal);
  if (signal != SIGUSR1) program.kill(signal);  // SIGXCPU comes every second: the save goes on
  const Outcome outcome = program.wait();
  INFO(outcome.err);
  CHECK(outcome.code == 128 + signal);
  CHECK_THAT(outcome.err, Contains("Stopping") && Contains("--resume"));
  CHECK(Json::parse(file_bytes(out + "/summary.json"))["finished"] == false);
  CHECK(trainer({"train", "--resume", "--max-steps", "1", "--out", out}).code == 0);
}

TEST_CASE("trainer_process: a signal that was ignored at the start stays ignored") {
  const TemporaryFolder folder;
  Program program(joined({"/bin/bash", "-c", "trap '' HUP INT USR1; exec \"$@\"", "bash"},
                         command(long_run(folder / "run"))));
  program.wait_until([&] { return std::filesystem::exists(folder / "run/last.safetensors"); });
  for (const int ignored : {SIGHUP, SIGINT, SIGUSR1}) program.kill(ignored);
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  program.kill(SIGTERM);
  const Outcome outcome = program.wait();
  CHECK(outcome.code == 143);
  CHECK_THAT(outcome.err, Contains("--resume"));
}

TEST_CASE("trainer_process: where address space is limited it works, or says what it wanted") {
  const TemporaryFolder folder;
  std::string codes;
  for (int megabytes = 500; megabytes <= 1700; megabytes += 60) {
    const std::string out = folder / std::to_string(megabytes);
    const std::string limit = "ulimit -v " + std::to_string(megabytes * 1000) + "; \"$@\"";
    const Outcome outcome = in_shell(limit, short_run(out, {"--max-steps", "1"}));
    INFO(megabytes << " MB\n" << outcome.err);
    CHECK((outcome.code == 0 || outcome.code == 4));
    if (outcome.code == 4) CHECK_THAT(outcome.err, Contains(" bytes "));
    codes += std::to_string(outcome.code);
  }
  // Once there is enough, more is enough, too.
  CHECK_THAT(codes, Catch::Matchers::Matches("4*0+"));
}

TEST_CASE("trainer_process: a file at its greatest size is an error of writing") {
  const TemporaryFolder folder;
  const Outcome outcome = in_shell("ulimit -f 100; \"$@\"", short_run(folder / "run"));
  INFO(outcome.err);
  CHECK(outcome.code == 5);
  CHECK_THAT(outcome.err, Contains("best.safetensors.part: cannot be written: File too large"));
  const Outcome log = in_shell("ulimit -f 100; \"$@\" 2>>" + folder / "log", {"info", "--model", "x"});
  CHECK(log.code == 2);
  const Words info = {"info", "--model", "attention236", "--json"};
  CHECK(in_shell("ulimit -f 4; \"$@\" >" + folder / "info", info).code == 1);
}
