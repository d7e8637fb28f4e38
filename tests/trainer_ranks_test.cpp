// cifar_trainer under mpirun: one run of several processes.
#include <filesystem>
#include <string>

#include "mpi_program.h"

using namespace fovea;

namespace {

/// The command line of `ranks` trainers.
Words trainers(int ranks, const Words& words) {
  return mpirun(ranks, command(words));
}

size_t count(const std::string& text, const std::string& part) {
  size_t found = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

std::string weights_of(const std::string& folder) {
  return file_bytes(folder + "/last.safetensors");
}

}  // namespace

TEST_CASE("ranks: 2 and 4 processes leave the files of one") {
  const TemporaryFolder folder;
  for (const int ranks : {2, 4}) {
    const std::string out = folder / std::to_string(ranks);
    const Outcome outcome = run_program(trainers(ranks, short_run(out)));
    INFO(outcome.err);
    REQUIRE(outcome.code == 0);
    CHECK(weights_of(out) == weights_of(finished_run()));
    CHECK(file_bytes(out + "/predictions.csv") == file_bytes(finished_run() + "/predictions.csv"));
    CHECK(count(outcome.err, "done after 3 epochs") == 1);
    CHECK(count(outcome.err, "in each of " + std::to_string(ranks) + " ranks") == 1);
    CHECK(count(file_bytes(out + "/summary.json"), "\"ranks\": " + std::to_string(ranks)) == 1);
  }
}

TEST_CASE("ranks: a run goes on with another number of processes, one included") {
  const TemporaryFolder folder;
  const std::string out = folder / "run";
  CHECK(run_program(trainers(4, short_run(out, {"--max-steps", "5"}))).code == 0);
  CHECK(run_program(trainers(2, {"train", "--resume", "--out", out, "--max-steps", "13"})).code == 0);
  CHECK(trainer({"train", "--resume", "--out", out, "--max-steps", "0"}).code == 0);
  CHECK(weights_of(out) == weights_of(finished_run()));
}

TEST_CASE("ranks: an error of one process is told once and ends all") {
  const TemporaryFolder folder;
  const std::string out = folder / "run";
  const Outcome refused = run_program(trainers(2, short_run(finished_run())));
  INFO(refused.err);
  CHECK(refused.code == 2);
  CHECK(count(refused.err, "cifar_trainer: ") == 1);
  const Outcome odd = run_program(
      trainers(2, {"train", "--dataset", "synthetic", "--limit", "80", "--batch-size", "12", "--out", out}));
  CHECK(odd.code == 2);
  CHECK_THAT(odd.err, Catch::Contains("a batch of 12 images for 2 ranks, wanted a multiple of 8"));
  const Outcome three = run_program(trainers(3, short_run(out)));
  CHECK(three.code == 2);
  CHECK_THAT(three.err, Catch::Contains("a batch of 8 images for 3 ranks, wanted a multiple of 3"));
  CHECK(!std::filesystem::exists(out));
}

TEST_CASE("ranks: a process with other weights to begin with is named, and nothing is trained") {
  const TemporaryFolder folder;
  REQUIRE(trainer(short_run(folder / "other", {"--seed", "2", "--max-steps", "1"})).code == 0);
  // As on two machines: each has a file of its own under the same name.
  const std::string starts[] = {finished_run(), folder / "other"};
  for (size_t rank = 0; rank < 2; ++rank) {
    const std::string own = folder / std::to_string(rank);
    std::filesystem::create_directory(own);
    std::filesystem::copy(starts[rank] + "/last.safetensors", own + "/start.safetensors");
  }
  const Outcome outcome =
      run_program(mpirun_after("cd \"$0/$OMPI_COMM_WORLD_RANK\"", folder / ".", 2,
                               command(short_run(folder / "run", {"--init", "start.safetensors"}))));
  INFO(outcome.err);
  CHECK(outcome.code == 2);
  CHECK(count(outcome.err, "rank 1 has other weights to begin with than rank 0; wanted the same of all") ==
        1);
  CHECK(!std::filesystem::exists(folder / "run"));
}

TEST_CASE("ranks: what several processes cannot do together is refused") {
  const TemporaryFolder folder;
  for (const Words& words : {short_run(folder / "run", {"--seeds", "2"}),
                             Words{"reproduce", "structure", "--limit", "32", "--out", folder / "runs"}}) {
    const Outcome outcome = run_program(trainers(2, words));
    INFO(outcome.err);
    CHECK(outcome.code == 2);
    CHECK_THAT(outcome.err, Catch::Contains("mpirun has started 2 processes, for one run"));
  }
}

TEST_CASE("ranks: --dry-run tells what would be and ends") {
  const TemporaryFolder folder;
  const Outcome outcome = run_program(trainers(2, short_run(folder / "run", {"--dry-run"})));
  CHECK(outcome.code == 0);
  CHECK(!std::filesystem::exists(folder / "run"));
}

TEST_CASE("ranks: a signal to the launcher saves once and stops all") {
  const TemporaryFolder folder;
  const std::string out = folder / "run";
  Program program(trainers(2, long_run(out)));
  program.wait_until([&] { return std::filesystem::exists(out + "/last.safetensors"); });
  program.kill(SIGTERM);
  const Outcome outcome = program.wait();
  INFO(outcome.err);
  CHECK(outcome.code != 0);
  CHECK(count(outcome.err, "stopped after") <= 1);  // Open MPI 5 no longer shows what is said then
  program.wait_until([&] { return std::filesystem::exists(out + "/summary.json"); });
  program.wait_until([&] { return !std::filesystem::exists(out + "/run.lock"); });
  CHECK(trainer({"train", "--resume", "--out", out, "--dry-run"}).code == 0);
}

TEST_CASE("ranks: a signal to one process saves once and stops all") {
  // Libraries below MPI have handlers of their own for SIGHUP.
  const TemporaryFolder folder;
  const std::string out = folder / "run";
  Program program(mpirun_after(kLeaveProcess, folder / ".", 2, command(long_run(out))));
  program.wait_until([&] { return std::filesystem::exists(out + "/last.safetensors"); });
  send_to_rank(SIGHUP, 1, folder / ".");
  const Outcome outcome = program.wait();
  INFO(outcome.err);
  CHECK(outcome.code == 128 + SIGTERM);  // of the first rank, to which no signal came
  CHECK(count(outcome.err, "stopped after") <= 1);
  CHECK(std::filesystem::exists(out + "/summary.json"));
  CHECK(trainer({"train", "--resume", "--out", out, "--dry-run"}).code == 0);
}

TEST_CASE("ranks: without its module of MPI the program says what is missing, and works alone") {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder / "bin");
  const std::string program = folder / "bin/cifar_trainer";
  std::filesystem::copy(command({})[0], program);
  const Outcome outcome = run_program(mpirun(2, {program, "train"}));
  INFO(outcome.err);
  CHECK(outcome.code == 2);
  CHECK_THAT(outcome.err, Catch::Contains("mpirun has started 2 processes, and " + (folder / "lib")));
  CHECK_THAT(outcome.err, Catch::Contains("cifar_trainer_mpi.so cannot be loaded"));
  CHECK(run_program({program, "--version"}).code == 0);
}
