// Several runs of one plan: reproduce, and train --seeds.
#include <catch2/catch.hpp>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "fovea/core/random.h"
#include "fovea/training/checkpoint.h"
#include "published_tables.h"
#include "run_plan.h"
#include "trainer_program.h"

using namespace fovea;
using namespace fovea::cli;
using Catch::Contains;
using Json = nlohmann::json;

namespace {

/// Two runs of attention56, four steps each.
Words small_table(const std::string& out, const Words& more = {}) {
  Words words = {"reproduce", "structure", "--dataset",    "synthetic", "--limit", "32", "--test-limit", "16",
                 "--epochs",  "1",         "--batch-size", "8",         "--out",   out,  "--save-every", "1"};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

/// Of both runs together.
int64_t steps_saved(const std::string& folder) {
  int64_t steps = 0;
  for (const char* run : {"/attention56-down-up-seed1", "/attention56-local-seed1"}) {
    const std::string last = folder + run + "/last.safetensors";
    if (std::filesystem::exists(last)) steps += read_checkpoint(last).progress.step;
  }
  return steps;
}

double test_error(const std::string& folder) {
  return 100 * (1 - Json::parse(file_bytes(folder + "/summary.json"))["test_accuracy"].get<double>());
}

}  // namespace

TEST_CASE("reproduce: the tables are known settings, and what was published is in them") {
  for (const PublishedTable& table : published_tables()) {
    INFO(table.name);
    CHECK(&find_table(table.name) == &table);
    for (const PublishedEntry& entry : table.entries) {
      INFO(entry.name);
      Settings settings;
      apply_overrides(settings, entry.settings);
      CHECK_NOTHROW(make_model(settings.model, settings.network, 1));
      if (entry.error) CHECK((*entry.error > 4 && *entry.error < 18));
    }
  }
  CHECK(published_tables().size() == 6);
  CHECK(find_table("depth").entries.size() == 8);
  CHECK_THROWS_WITH(find_table("dept"), Contains("did you mean depth?"));
}

TEST_CASE("reproduce: spread of some values") {
  const Spread spread = spread_of({1, 2, 4.5});
  CHECK(spread.mean == Approx(2.5));
  CHECK(spread.deviation == Approx(std::sqrt((2.25 + 0.25 + 4) / 2)));
  CHECK(spread.count == 3);
  CHECK(spread_of({3}).deviation == 0);
  CHECK(spread_of({}).count == 0);
}

TEST_CASE("reproduce: a table is filled in, and killed at any moments it is the same") {
  const TemporaryFolder folder;
  const std::string out = folder / "whole", killed = folder / "killed";
  const Outcome whole = trainer(small_table(out));
  INFO(whole.err);
  REQUIRE(whole.code == 0);
  CHECK_THAT(whole.err, Contains("2 runs in " + out) && Contains("run 2 of 2: attention56-local-seed1"));
  CHECK(whole.out == file_bytes(out + "/table.md"));
  CHECK_THAT(whole.out, Contains("| network | published | Fovea | runs |") &&
                            Contains("| Attention-56, down-up | 5.52 | "));
  const double error = test_error(out + "/attention56-local-seed1");
  CHECK_THAT(whole.out,
             Contains("Fovea: 1 epochs of the first 32 training images of synthetic, tested on the first 16 "
                      "images: these figures compare with each other, not with the published ones."));
  CHECK_THAT(file_bytes(out + "/table.csv"),
             Contains("network,published_error,error,deviation,runs\n") &&
                 Contains("attention56-local,6.48," + std::to_string(error).substr(0, 6)));

  // Ten times: as soon as so many of the eight steps are saved, and some milliseconds more.
  const uint64_t seed = std::random_device{}();
  INFO("seed " << seed);
  Random random(seed, Purpose::test);
  for (int i = 0; i < 10; ++i) {
    Program program(command(small_table(killed)));
    program.wait_until([&] { return steps_saved(killed) >= i * 8 / 10; });
    std::this_thread::sleep_for(std::chrono::milliseconds(random.below(100)));
    program.kill(SIGKILL);
    program.wait();
  }
  const Outcome resumed = trainer(small_table(killed));
  INFO(resumed.err);
  REQUIRE(resumed.code == 0);
  CHECK(resumed.out == whole.out);
  CHECK(file_bytes(killed + "/table.csv") == file_bytes(out + "/table.csv"));
  const Outcome again = trainer(small_table(killed));
  CHECK(again.out == whole.out);
  CHECK_THAT(again.err, Contains("attention56-local-seed1") && Contains("done"));
}

TEST_CASE("reproduce: a signal saves and stops, and the same command goes on") {
  const TemporaryFolder folder;
  const std::string out = folder / "out";
  Program program(command(small_table(out)));
  program.wait_until(
      [&] { return std::filesystem::exists(out + "/attention56-down-up-seed1/last.safetensors"); });
  program.kill(SIGTERM);
  const Outcome stopped = program.wait();
  CHECK(stopped.code == 143);
  CHECK_THAT(stopped.err, Contains("go on with the same command") && !Contains("train --resume"));
  CHECK(trainer(small_table(out)).code == 0);
}

TEST_CASE("reproduce: what is refused, and a plan that is only shown") {
  const TemporaryFolder folder;
  const std::string out = folder / "out";
  const Outcome shown = trainer(small_table(out, {"--dry-run"}));
  CHECK(shown.code == 0);
  CHECK_THAT(shown.err, Contains("attention56-down-up-seed1") && Contains("in all"));
  CHECK_FALSE(std::filesystem::exists(out));
  CHECK_THAT(trainer({"reproduce"}).out, Contains("depth") && Contains("extra-adds"));
  check_failure({"reproduce", "depths"}, 2, "did you mean depth?");
  check_failure({"reproduce", "depth", "masks"}, 2, "wanted one");
  check_failure({"reproduce", "depth", "--model", "attention56"}, 2,
                "--model is given, and attention56-residual-seed1 is the run with model attention56");
  REQUIRE(trainer(small_table(out)).code == 0);
  check_failure(small_table(out, {"--lr", "0.2"}), 2, "lr is 0.2, but the run to be continued has 0.1");
  Words other = small_table(out);
  other[1] = "masks";
  check_failure(other, 2, out + " holds the runs of another command than reproduce masks");
}

TEST_CASE("train --seeds: mean and deviation of the test accuracies") {
  const TemporaryFolder folder;
  const std::string out = folder / "out";
  const Words words = short_run(out, {"--max-steps", "2", "--seeds", "2", "--seed", "5"});
  const Outcome outcome = trainer(words);
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  const double first = 100 - test_error(out + "/seed-5"), second = 100 - test_error(out + "/seed-6");
  const Spread spread = spread_of({first, second});
  char wanted[100];
  std::snprintf(wanted, sizeof wanted, "test accuracy %.2f%% ± %.2f (mean and deviation of 2 seeds)",
                spread.mean, spread.deviation);
  CHECK_THAT(outcome.err, Contains(wanted));
  CHECK_THAT(file_bytes(out + "/seeds.csv"), Contains("run,test_accuracy\nseed-5,"));
  CHECK(trainer(words).code == 0);  // goes on, with nothing left
  check_failure(short_run(out, {"--seeds", "2", "--overwrite"}), 2, "--seeds goes with neither");
  check_failure(short_run(out, {"--max-steps", "2", "--seeds", "2", "--seed", "5", "--lr", "0.2"}), 2,
                "lr is 0.2, but the run to be continued has 0.3");
  check_failure(short_run(folder / "other", {"--seeds", "2", "--seed", "9223372036854775807"}), 2,
                "wanted at most 9223372036854775805 for 2 seeds");
}
