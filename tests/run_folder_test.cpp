#include "run_folder.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>

#include "file_calls.h"
#include "reports.h"
#include "test_files.h"

using namespace fovea;
using namespace fovea::cli;
using Catch::Contains;
using Events = std::vector<std::string>;

namespace {

const char* const kHeading =
    "epoch,step,learning_rate,train_loss,train_accuracy,validation_loss,validation_accuracy,images_per_"
    "second,"
    "seconds\n";

}  // namespace

TEST_CASE("run_folder: every text is durable before it has its name") {
  const TemporaryFolder folder;
  const RunFolder run(folder.path().string());
  const std::string sync = "sync " + folder.path().filename().string();
  run.start();
  file_calls::calls.clear();
  const auto calls = [] { return std::exchange(file_calls::calls, {}); };
  run.write_settings({});
  CHECK(calls() == Events{"sync settings.toml.part", "rename settings.toml.part settings.toml", sync});
  run.write_summary("{}");
  CHECK(calls() == Events{"sync summary.json.part", "rename summary.json.part summary.json", sync});
  run.append({.epoch = 1, .step = 2, .images_per_second = 3});
  run.append({.epoch = 2, .step = 4, .images_per_second = 3, .seconds = 1.5});
  const Events once = {"sync metrics.csv.part", "rename metrics.csv.part metrics.csv", sync};
  Events twice = once;
  twice.insert(twice.end(), once.begin(), once.end());
  CHECK(calls() == twice);
  CHECK(file_bytes(folder / "metrics.csv") ==
        std::string(kHeading) + "1,2,0,0,0,,,3.0,0.0\n2,4,0,0,0,,,3.0,1.5\n");
}

TEST_CASE("run_folder: a link in the place of a .part is replaced, and nothing stays behind after an error") {
  const TemporaryFolder folder;
  const RunFolder run(folder.path().string());
  write_bytes(folder / "victim", "precious");
  for (const char* name : {"settings.toml", "metrics.csv", "summary.json"}) {
    std::filesystem::create_symlink(folder / "victim", folder / (std::string(name) + ".part"));
  }
  run.start();
  run.write_settings({});
  run.write_summary("{}");
  CHECK(file_bytes(folder / "victim") == "precious");
  CHECK(file_bytes(folder / "summary.json") == "{}\n");

  file_calls::sync_fails_for = ".part";
  CHECK_THAT(message_of<Error>([&] { run.write_summary("{1}"); }),
             Contains("run: ") && Contains("summary.json.part: cannot be made durable"));
  CHECK_THROWS_AS(run.append({.epoch = 1}), Error);
  CHECK_THROWS_AS(run.write_settings({}), Error);
  file_calls::sync_fails_for = "";
  CHECK(file_bytes(folder / "summary.json") == "{}\n");
  CHECK(file_bytes(folder / "metrics.csv") == kHeading);
  for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
    CHECK(entry.path().extension() != ".part");
  }
}

TEST_CASE("run_folder: of a damaged table the whole rows are kept, and a table that is no file is an error") {
  const TemporaryFolder folder;
  const RunFolder run(folder.path().string());
  const std::string rows = "1,2,0,0,0,,,0.0,7.5\n";
  write_bytes(folder / "metrics.csv", kHeading + rows + "2,4,0.1");
  CHECK(run.resume(/*epochs=*/5) == 7.5);
  CHECK(file_bytes(folder / "metrics.csv") == kHeading + rows);
  write_bytes(folder / "metrics.csv", std::string(200, '\0'));
  CHECK(run.resume(/*epochs=*/5) == 0);
  CHECK(file_bytes(folder / "metrics.csv") == kHeading);

  std::filesystem::remove(folder / "metrics.csv");
  REQUIRE(mkfifo((folder / "metrics.csv").c_str(), 0600) == 0);
  CHECK_THAT(message_of<Error>([&] { run.resume(5); }), Contains("metrics.csv: is not a regular file"));
}

TEST_CASE("run_folder: the table of a run from before there was a validation set keeps its heading") {
  const TemporaryFolder folder;
  const std::string old =
      "epoch,step,learning_rate,train_loss,train_accuracy,test_loss,test_accuracy,images_per_second,seconds\n"
      "1,2,0.1,2.5,0.25,2.5,0.5,3.0,1.0\n";
  write_bytes(folder / "metrics.csv", old);
  const RunFolder run(folder.path().string());
  CHECK(run.resume(/*epochs=*/1) == 1.0);
  run.append({.epoch = 2, .step = 4, .images_per_second = 3, .seconds = 1.5});
  CHECK(file_bytes(folder / "metrics.csv") == old + "2,4,0,0,0,,,3.0,1.5\n");
}

TEST_CASE("run_folder: a run is finished when its summary is of where it stands") {
  const TemporaryFolder folder;
  const RunFolder run(folder.path().string());
  TrainingProgress progress{.step = 8, .epoch = 2};
  CHECK_FALSE(run.is_finished(progress));
  RunSummary summary;
  summary.steps = 8;
  summary.epochs = 2;
  run.write_summary(to_json(summary));
  CHECK_FALSE(run.is_finished(progress));
  summary.finished = true;
  run.write_summary(to_json(summary));
  CHECK(run.is_finished(progress));
  progress.step = 9;  // it was made longer
  CHECK_FALSE(run.is_finished(progress));
  CHECK_FALSE(run.test_accuracy().has_value());  // there is no checkpoint
}
