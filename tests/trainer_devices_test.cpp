// cifar_trainer as several processes with a CUDA device each, emulated: by mpirun, and as torchrun and srun
// start them.
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "fovea/training/checkpoint.h"
#include "mpi_program.h"
#include "op_test.h"

using namespace fovea;
using Catch::Contains;

namespace {

/// A run of two steps.
Words words_of(const std::string& out, const Words& more = {}) {
  Words words;
  for (const char* const word :
       {"train", "--dataset", "synthetic", "--model", "attention-nano", "--limit", "16", "--validation", "0",
        "--test-limit", "4", "--batch-size", "8", "--epochs", "1", "--out"}) {
    words.push_back(word);
  }
  words.push_back(out);
  return command(joined(words, more), "cifar_trainer_emulated");
}

const Words kOnDevice = {"--device", "cuda"};

bool have_same_weights(const std::string& folder, const std::string& other) {
  return file_bytes(folder + "/last.safetensors") == file_bytes(other + "/last.safetensors");
}

/// What both processes leave that are started with variables of their own.
std::vector<Outcome> start_both(const std::vector<Words>& variables, const Words& words) {
  std::vector<std::unique_ptr<Program>> programs;
  for (const Words& own : variables)
    programs.push_back(std::make_unique<Program>(joined(joined({"env"}, own), words)));
  std::vector<Outcome> outcomes;
  for (const auto& program : programs) outcomes.push_back(program->wait());
  return outcomes;
}

Words torchrun(const std::string& cache, int rank) {
  return {"XDG_CACHE_HOME=" + cache,      "WORLD_SIZE=2",
          "RANK=" + std::to_string(rank), "LOCAL_RANK=" + std::to_string(rank),
          "LOCAL_WORLD_SIZE=2",           "MASTER_PORT=29500",
          "TORCHELASTIC_RUN_ID=a run"};
}

Words srun(const std::string& cache, int rank) {
  return {
      "XDG_CACHE_HOME=" + cache, "SLURM_STEP_NUM_TASKS=2",          "SLURM_PROCID=" + std::to_string(rank),
      "SLURM_LOCALID=0",         "SLURM_STEP_TASKS_PER_NODE=1(x2)", "SLURM_JOB_ID=7",
      "SLURM_STEP_ID=0"};
}

/// The run of two processes with which others are compared.
const std::string& run_of_two() {
  static const TemporaryFolder folder;
  static const std::string out = [] {
    const Outcome outcome = run_program(mpirun(2, words_of(folder / "run", kOnDevice)));
    INFO(outcome.err);
    REQUIRE(outcome.code == 0);
    return folder / "run";
  }();
  return out;
}

}  // namespace

TEST_CASE("devices: two processes train as one does, but for rounding") {
  const TemporaryFolder folder;
  const std::string one = folder / "one", two = folder / "two";
  // One step: from the second on, norms over eight images make more of what rounding did.
  const Words step = joined(kOnDevice, {"--max-steps", "1"});
  REQUIRE(run_program(words_of(one, step)).code == 0);
  REQUIRE(run_program(mpirun(2, words_of(two, step))).code == 0);
  const Checkpoint wanted = read_checkpoint(one + "/last.safetensors"),
                   found = read_checkpoint(two + "/last.safetensors");
  REQUIRE(found.model.size() == wanted.model.size());
  for (size_t i = 0; i < wanted.model.size(); ++i) {
    INFO(wanted.model[i].name);
    CHECK(found.model[i].name == wanted.model[i].name);
    test::check_near(found.model[i].tensor, wanted.model[i].tensor, 1e-4);
  }
}

TEST_CASE("devices: the same bits each time, when streams run as late as they may") {
  for (const char* const variable : {"FOVEA_EMULATED_STREAMS=at_once", "FOVEA_EMULATED_STREAMS=deferred"}) {
    const TemporaryFolder folder;
    const Outcome outcome =
        run_program(joined({"env", variable}, mpirun(2, words_of(folder / "run", kOnDevice))));
    INFO(outcome.err);
    CHECK(outcome.code == 0);
    CHECK(have_same_weights(folder / "run", run_of_two()));
    CHECK_THAT(outcome.err, Contains("in each of 2 ranks"));
  }
}

TEST_CASE("devices: as torchrun and srun start them, without MPI") {
  for (const auto& variables : {torchrun, srun}) {
    const TemporaryFolder folder;
    const std::vector<Outcome> outcomes =
        start_both({variables(folder / "cache", 0), variables(folder / "cache", 1)},
                   words_of(folder / "run", kOnDevice));
    INFO(outcomes[0].err << "\n" << outcomes[1].err);
    CHECK(outcomes[0].code == 0);
    CHECK(outcomes[1].code == 0);
    CHECK(outcomes[1].err.empty());
    CHECK(have_same_weights(folder / "run", run_of_two()));
    CHECK(std::filesystem::is_empty(folder / "cache/fovea/ranks"));
  }
}

TEST_CASE("devices: a run goes on with another number of processes") {
  const TemporaryFolder folder;
  const std::string out = folder / "run";
  CHECK(run_program(mpirun(2, words_of(out, joined(kOnDevice, {"--max-steps", "1"})))).code == 0);
  const Words rest = {words_of(out)[0], "train", "--resume", "--out", out, "--max-steps", "0"};
  const Outcome outcome = run_program(mpirun(4, rest));
  INFO(outcome.err);
  CHECK(outcome.code == 0);
  CHECK_THAT(outcome.err, Contains("done after 1 epoch"));
}

TEST_CASE("devices: what cannot be joined is refused") {
  const TemporaryFolder folder;
  const Outcome numbered = run_program(mpirun(2, words_of(folder / "run", {"--device", "cuda:0"})));
  CHECK(numbered.code == 2);
  CHECK_THAT(numbered.err, Contains("2 of them here, and the device is cuda:0; wanted --device cuda"));
  {
    // As torchrun does, the other process is ended when one has failed.
    const Program other(joined(joined({"env"}, torchrun(folder / "cache", 1)), words_of(folder / "run")));
    const Outcome outcome = run_program(joined(joined({"env"}, torchrun(folder / "cache", 0)),
                                               words_of(folder / "run", {"--device", "cpu"})));
    CHECK(outcome.code == 2);
    CHECK_THAT(outcome.err, Contains("torchrun has started 2 processes, which train on CUDA devices, and the "
                                     "device is the CPU; on the CPU start them by mpirun"));
  }
  // On the CPU there is MPI alone.
  Words on_cpu = words_of(folder / "run");
  on_cpu[0] = command({})[0];
  const std::vector<Outcome> outcomes =
      start_both({srun(folder / "cache", 0), srun(folder / "cache", 1)}, on_cpu);
  for (const Outcome& outcome : outcomes) {
    CHECK(outcome.code == 2);
    CHECK_THAT(outcome.err,
               Contains("srun has started 2 processes, which train on CUDA devices, and there are none"));
    CHECK_THAT(outcome.err, Contains("on the CPU start them by mpirun"));
  }
}
