// Ranks of cifar_trainer that stop or die in the middle of a run: the others end, and nothing is lost.
#include <csignal>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "mpi_program.h"

using namespace fovea;

namespace {

/// A run of two or four ranks, each of which leaves the number of its process.
struct Run {
  TemporaryFolder folder;
  int ranks;
  std::unique_ptr<Program> program;

  explicit Run(int size) : ranks(size) {
    program = std::make_unique<Program>(
        mpirun_after(kLeaveProcess, folder / ".", ranks, command(long_run(out(), {"--threads", "1"}))));
  }
  std::string out() const { return folder / "run"; }
  /// Once it has saved.
  void send(int signal, int rank) const {
    program->wait_until([&] { return std::filesystem::exists(out() + "/last.safetensors"); });
    send_to_rank(signal, rank, folder / ".");
  }
};

/// Twenty runs, one begun after the other, whose ranks get the signal in turn; what became of them.
void check_runs(int signal, const std::function<void(const Outcome&, int rank, int ranks)>& check) {
  std::vector<std::unique_ptr<Run>> runs;
  const auto rank_of = [&](size_t i) { return static_cast<int>(i) % runs[i]->ranks; };
  for (size_t i = 0; i < 20; ++i) {
    runs.push_back(std::make_unique<Run>(i % 5 == 3 ? 4 : 2));
    runs.back()->send(signal, rank_of(i));
  }
  for (size_t i = 0; i < runs.size(); ++i) {
    const Run& run = *runs[i];
    const Outcome outcome = run.program->wait();
    INFO("rank " << rank_of(i) << " of " << run.ranks << ":\n" << outcome.err);
    check(outcome, rank_of(i), run.ranks);
    CHECK(trainer({"train", "--resume", "--dry-run", "--out", run.out()}).code == 0);
  }
  CHECK(trainer({"train", "--resume", "--max-steps", "1", "--out", runs[0]->out()}).code == 0);
}

}  // namespace

TEST_CASE("dead ranks: one that is stopped is named, and all end with exit code 4") {
  check_runs(SIGSTOP, [](const Outcome& outcome, int rank, int ranks) {
    CHECK(outcome.code == 4);
    CHECK_THAT(outcome.err, Catch::Contains("rank " + std::to_string(rank) + " of " + std::to_string(ranks) +
                                            " has not answered for 8 seconds; the run ends, and goes on from "
                                            "its last checkpoint with --resume"));
  });
}

TEST_CASE("dead ranks: one that is killed ends all, and the launcher names it") {
  check_runs(SIGKILL, [](const Outcome& outcome, int rank, int) {
    CHECK(outcome.code != 0);
    CHECK_THAT(outcome.err, Catch::Contains("rank " + std::to_string(rank)) && Catch::Contains("signal 9"));
  });
}
