// metrics.jsonl and the event files of a run that is killed at any step and resumed: as of one without a
// pause.
#include "metrics_log.h"

#include <cstdlib>

#include "event_files.h"
#include "flat_json.h"
#include "run_folder.h"
#include "run_record.h"
#include "trainer_program.h"
#if FOVEA_HAS_TENSORBOARD
#include "event_records.h"
#include "tensorboard.pb.h"
#endif

using namespace fovea;
using namespace fovea::cli;
using Catch::Contains;

namespace {

/// The lines without times.
std::vector<std::string> lines_of(const std::string& out) {
  std::vector<std::string> lines;
  const std::string text = file_bytes(out + "/metrics.jsonl");
  for (size_t begin = 0, end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
    std::string line;
    const FlatJson object = read_flat_json(text.substr(begin, end - begin)).value();
    for (const auto& [key, value] : object) {
      if (key != "images_per_second" && key != "seconds") line += key + "=" + value + " ";
    }
    lines.push_back(line);
  }
  return lines;
}

Words logged_run(const std::string& out) {
  Words words = short_run(out, {"--log-every", "3", "--save-every", "4"});
  if (FOVEA_HAS_TENSORBOARD) words.emplace_back("--tensorboard");
  return words;
}

/// Runs it up to step 20, goes back to the checkpoint of step 12, and leaves a torn file behind.
void run_and_tear(const std::string& out) {
  Words words = logged_run(out);
  words.insert(words.end(), {"--max-steps", "12"});
  REQUIRE(trainer(words).code == 0);
  const std::string checkpoint = file_bytes(out + "/last.safetensors");
  REQUIRE(trainer({"train", "--resume", "--out", out, "--max-steps", "20"}).code == 0);
  write_file(out + "/last.safetensors", checkpoint);  // as a crash between two saves leaves it
  write_file(out + "/metrics.jsonl", file_bytes(out + "/metrics.jsonl") + "{\"event\":\"step\",\"st");
}

#if FOVEA_HAS_TENSORBOARD
/// Step, tag and value of every scalar but the speed, by the order of files and records.
std::vector<std::string> scalars_of(const std::string& out) {
  std::vector<std::string> scalars;
  for (const std::string& name : event_files(out)) {
    const std::string bytes = file_bytes(out + "/" + name);
    for (const std::string_view content : read_event_records(bytes)) {
      tensorboard::Event event;
      REQUIRE(event.ParseFromArray(content.data(), static_cast<int>(content.size())));
      for (const auto& value : event.summary().value()) {
        if (value.value_case() != tensorboard::Summary::Value::kSimpleValue ||
            value.tag() == "images_per_second")
          continue;
        scalars.push_back(std::to_string(event.step()) + " " + value.tag() + " " +
                          std::to_string(value.simple_value()));
      }
    }
  }
  return scalars;
}
#endif

}  // namespace

TEST_CASE("metrics_log: every step and epoch once, across a crash, a torn line and two resumptions") {
  const TemporaryFolder folder;
  const std::string whole = folder / "whole", torn = folder / "torn";
  REQUIRE(trainer(logged_run(whole)).code == 0);
  const std::vector<std::string> wanted = lines_of(whole);
  REQUIRE(wanted.size() == 8 + 3);  // of 24 steps and 3 epochs
  CHECK_THAT(wanted[0], Contains("event=step step=3 epoch=1 batch=3 loss="));
  CHECK_THAT(wanted[2], Contains("event=epoch step=8 epoch=1 ") && Contains(" validation_accuracy="));

  run_and_tear(torn);
  REQUIRE(trainer({"train", "--resume", "--out", torn, "--max-steps", "0"}).code == 0);
  CHECK(lines_of(torn) == wanted);
  const RunRecord run = read_run(whole);
  REQUIRE(run.steps.size() == 8);
  CHECK(run.steps[2].step == 9);  // the first batch of the second epoch alone
  CHECK(run.steps[2].loss == Approx(std::stod(wanted[3].substr(wanted[3].find(" loss=") + 6))));
#if FOVEA_HAS_TENSORBOARD
  CHECK(scalars_of(torn) == scalars_of(whole));
  CHECK(scalars_of(whole).size() == 8 * 3 + 3 * 4 + 2);
  CHECK(event_files(torn).size() == 3);

  Words again = logged_run(torn);
  again.insert(again.end(), {"--overwrite", "--max-steps", "3"});
  REQUIRE(trainer(again).code == 0);
  CHECK(event_files(torn).size() == 1);
#else
  check_failure(short_run(folder / "tb", {"--tensorboard"}), 2, "FOVEA_TENSORBOARD");
#endif
}

TEST_CASE("metrics_log: what is later than a checkpoint goes, and what is no line") {
  const std::string step = "{\"event\":\"step\",\"step\":8,\"epoch\":1}\n",
                    later = "{\"event\":\"step\",\"step\":9,\"epoch\":2}\n";
  const std::string epoch = "{\"event\":\"epoch\",\"step\":8,\"epoch\":1}\n";
  const std::string text = step + "nonsense\n" + epoch + later + "{\"event\":\"st";
  CHECK(MetricsLog::up_to(text, {.step = 8, .epoch = 1}) == step + epoch);
  CHECK(MetricsLog::up_to(text, {.step = 8, .epoch = 0}) == step);  // before the evaluation
  CHECK(MetricsLog::up_to(text, {.step = 9, .epoch = 1}) == step + epoch + later);
}

#if FOVEA_HAS_TENSORBOARD
TEST_CASE("event_records: the published checksum, and records up to one that is torn or damaged") {
  // CRC-32C of "123456789" is e3069283 (RFC 3720), turned by 15 bits, plus the constant of TFRecord.
  CHECK(masked_crc("123456789") == ((0xe3069283u >> 15 | 0xe3069283u << 17) + 0xa282ead8u));
  const std::string one = event_record("one"), two = event_record("");
  CHECK(one.size() == 8 + 4 + 3 + 4);
  CHECK(one.substr(0, 8) == std::string("\3\0\0\0\0\0\0\0", 8));
  const std::string file = one + two + one;
  CHECK(read_event_records(file) == std::vector<std::string_view>{"one", "", "one"});
  CHECK(read_event_records(std::string_view(file).substr(0, file.size() - 1)).size() == 2);
  std::string damaged = file;
  damaged[12] ^= 1;
  CHECK(read_event_records(damaged).empty());
}
#endif
