#include "settings.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <set>

#include "command_line.h"
#include "fovea/core/check.h"
#include "setup.h"
#include "temporary_folder.h"

using namespace fovea;
using namespace fovea::cli;

namespace {

// The message of the UsageError that `body` throws.
template <class Body>
std::string message_of(Body&& body) {
  try {
    body();
  } catch (const UsageError& error) {
    return error.what();
  }
  return "(no error)";
}

std::string toml_message(const std::string& text) {
  Settings settings;
  return message_of([&] { apply_toml(settings, text, "recipe.toml"); });
}

Arguments parse(std::vector<const char*> words) {
  words.insert(words.begin(), "cifar_trainer");
  return parse_command_line(static_cast<int>(words.size()), words.data()).value();
}

}  // namespace

TEST_CASE("settings: flags win over the file, the file over the defaults") {
  Settings settings;
  apply_toml(settings, "batch-size = 64\nlr = 1\nflip = false\nmilestones = [0.5, 30]\n", "recipe.toml");
  apply_overrides(settings,
                  parse({"train", "--lr", "0.25", "--extra-adds", "--no-nesterov", "--p=2"}).settings);
  CHECK(settings.model == "attention-nano");
  CHECK(settings.training.batch_size == 64);
  CHECK(settings.training.schedule.learning_rate == 0.25);
  CHECK_FALSE(settings.training.augmentation->flip);
  CHECK(settings.training.schedule.milestones == std::vector<double>{0.5, 30});
  CHECK(settings.network.extra_adds == true);
  CHECK_FALSE(settings.training.optimiser.nesterov);
  CHECK(settings.network.p == 2);
  CHECK_FALSE(settings.network.r.has_value());
}

TEST_CASE("settings: what is saved reads back the same") {
  Settings settings;
  apply_overrides(settings, {{"model", "attention92"},
                             {"data", "a \"folder\"\\\n\x01"},
                             {"lr", "0.1"},
                             {"weight-decay", "1e-05"},
                             {"extra-adds", "false"},
                             {"r", "3"},
                             {"schedule", "steps"},
                             {"milestones", "[0.4, 96000]"},
                             {"seed", "999999999999999999"}});
  Settings read;
  apply_toml(read, to_toml(settings, Selection::all), "saved");
  const std::vector<Setting> now = list_settings(settings);
  for (const Setting& setting : list_settings(read)) {
    INFO(setting.key);
    CHECK(value_text(setting) == value_text(find_setting(now, setting.key, "test")));
  }
  const std::string shaping = to_toml(settings, Selection::shaping);
  CHECK(shaping.find("seed") != std::string::npos);
  CHECK(shaping.find("threads") == std::string::npos);
  CHECK(shaping.find("data = ") == std::string::npos);
}

TEST_CASE("settings: no two settings have the same key") {
  Settings settings;
  std::set<std::string> keys;
  for (const Setting& setting : list_settings(settings)) {
    INFO(setting.key);
    CHECK(keys.insert(setting.key).second);
    CHECK(std::string(setting.field.info.help) != "");
    CHECK(std::string(setting.field.info.group) != "");
  }
}

TEST_CASE("settings: an error in a file names file, line and key") {
  CHECK(toml_message("lr = 0.1\nbach-size = 64\n") ==
        "settings: recipe.toml:2: there is no setting \"bach-size\"; did you mean batch-size?");
  CHECK(toml_message("xyzzyxyzzy = 1") == "settings: recipe.toml:1: there is no setting \"xyzzyxyzzy\"");
  CHECK(toml_message("batch-size = \"64\"") ==
        "settings: recipe.toml:1: batch-size is \"64\", wanted a whole number from 1 to 65536");
  CHECK(toml_message("batch-size = 0") ==
        "settings: recipe.toml:1: batch-size is 0, wanted a whole number from 1 to 65536");
  CHECK(toml_message("batch-size = 1.5") ==
        "settings: recipe.toml:1: batch-size is 1.5, wanted a whole number from 1 to 65536");
  CHECK(toml_message("lr = nan") ==
        "settings: recipe.toml:1: lr is nan, wanted a number above 0 and up to 1000000");
  CHECK(toml_message("limit = -1") ==
        "settings: recipe.toml:1: limit is -1, wanted a whole number of at least 0");
  CHECK(toml_message("flip = 1") == "settings: recipe.toml:1: flip is 1, wanted true or false");
  CHECK(toml_message("schedule = \"one_cycle\"") ==
        "settings: recipe.toml:1: schedule is \"one_cycle\", wanted one of constant, steps, cosine, "
        "one-cycle; did "
        "you mean one-cycle?");
  CHECK(toml_message("milestones = [1, \"x\"]") ==
        "settings: recipe.toml:1: milestones is a list with something else than numbers");
  CHECK(toml_message("[lr]\nx = 1").find("recipe.toml:1: lr is neither text") != std::string::npos);
  CHECK(toml_message("lr = ").find("settings: recipe.toml:1: ") == 0);
  CHECK(toml_message("lr = 0.1\nlr = 0.2").find("settings: recipe.toml:2: ") == 0);
  CHECK(toml_message(std::string(100000, '[')).find("settings: recipe.toml:1: ") == 0);
  Settings settings;
  CHECK(
      message_of([&] { apply_toml_file(settings, "no/such/file.toml"); }) ==
      "settings: no/such/file.toml: cannot be opened: No such file or directory; --config takes a TOML file");
}

TEST_CASE("settings: only a regular file of a reasonable size is read") {
  const TemporaryFolder folder;
  const auto message = [](const std::string& path) {
    Settings settings;
    return message_of([&] { apply_toml_file(settings, path); });
  };
  REQUIRE(mkfifo((folder / "pipe").c_str(), 0600) == 0);
  for (const std::string& path : {folder / "pipe", std::string("/dev/zero")}) {
    CHECK(message(path) ==
          "settings: " + path + ": is not a regular file, expected a file; --config takes a TOML file");
  }
  const std::string itself = folder.path().string();
  CHECK(message(itself) ==
        "settings: " + itself + " is a folder, wanted a TOML file, such as the settings.toml of a run");
  const std::string large = folder / "large";
  write_bytes(large, "");
  std::filesystem::resize_file(large, uint64_t{1} << 40);  // of a hole
  CHECK(message(large) ==
        "settings: " + large +
            " has 1099511627776 bytes, at most 1048576 are allowed; --config takes a TOML file");
}

TEST_CASE("settings: outside of texts and comments there is ASCII only") {
  CHECK(
      toml_message("# caf\xc3\xa9 \"\nlr = 0.1\na = \xc2\xa1") ==
      "settings: recipe.toml:3: column 5: found \"\xc2\xa1\" outside of quotation marks and comments, wanted "
      "ASCII there");
  // Every letter for which toml++ 3.3 looks beyond the end of a table.
  for (unsigned code = 0xa1; code <= 0x499; ++code) {
    const std::string letter{static_cast<char>(0xc0 | code >> 6), static_cast<char>(0x80 | (code & 0x3f))};
    for (const char* before :
         {"a = ", "a = [", "a = {b = ", "a = \"\"\"x\"\"\"\"\"\nb = ", "a = '\\'\nb = ", "a = '''x'''\nb = ",
          "a=\"\\\"\"\nb=", "",
          // One value each, in which the marks mean nothing.
          "a =0\"=-2\"\"af", "a = 0=\"", "a = [0=\"", "a = [\nb=\"", "a = 0'", "a = 1'x'\""}) {
      INFO(code << " after " << before);
      REQUIRE(toml_message(before + letter).find("outside of quotation marks") != std::string::npos);
    }
  }
  const std::string e = "\xc3\xa9";
  // There toml++ asks whether the letter is white space, and looks beyond its table as well.
  for (const char* before : {"\\", "\\ ", "\\\n", "\\ \t\r\n\n ", "x\\\\\\", "\\\v\f\n"}) {
    const std::string text = std::string("data = \"\"\"") + before + e;
    INFO(text);
    CHECK(toml_message(text + "\"\"\"").find("after a backslash in a text") != std::string::npos);
    CHECK(toml_message("# \"\"\"\n" + text).find("after a backslash in a text") != std::string::npos);
  }
  CHECK(
      toml_message("data = \"\"\"\n\\" + e + "\"\"\"") ==
      "settings: recipe.toml:2: column 2: found \"" + e +
          "\" after a backslash in a text of several lines, wanted ASCII there; write the text on one line");
  for (const std::string& text : {"data = '''\\" + e + "'''", "data = '\\" + e + "'",
                                  "data = \"\"\"\\\n x" + e + "\"\"\"", "data = \"\"\"\\\\" + e + "\"\"\""}) {
    INFO(text);
    CHECK(toml_message(text) == "(no error)");
  }
  for (const std::string& text :
       {"data = \"" + e + "\"", "data = '" + e + "'", "data = \"\"\"\n" + e + "\"x\"\"\"\" # " + e,
        "data = '''" + e + "'''", "\xef\xbb\xbflr = 0.1 # " + e, "data = \"\\\"" + e + "\"",
        "data = \"#" + e + "\"", "data=\"" + e + "\"", "  data='" + e + "'",
        "lr = 0.1\r\ndata =\"" + e + "\""}) {
    INFO(text);
    CHECK(toml_message(text) == "(no error)");
  }
  CHECK(toml_message("a = \xff").find("column 5: found \"\\xff\" outside") != std::string::npos);
}

TEST_CASE("settings: an error on the command line names the flag") {
  const auto message = [](std::vector<const char*> words) {
    return message_of([&] {
      Settings settings;
      apply_overrides(settings, parse(std::move(words)).settings);
    });
  };
  CHECK(message({"train", "--batch-size", "many"}) ==
        "settings: --batch-size is \"many\", wanted a whole number from 1 to 65536");
  CHECK(message({"train", "--lr", "-1"}) ==
        "settings: --lr is -1, wanted a number above 0 and up to 1000000");
  CHECK(message({"train", "--modle", "attention56"}) ==
        "train: there is no flag \"--modle\"; did you mean --model?; see cifar_trainer train --help");
  CHECK(message({"train", "attention56"}) ==
        "train: unexpected \"attention56\"; see cifar_trainer train --help");
  CHECK(message({"trian"}) == "there is no command \"trian\"; did you mean train?; see --help");
  CHECK(message({}).find("a command is missing") == 0);
  CHECK(message({"evaluate"}).find("--checkpoint") != std::string::npos);
  CHECK(message({"train", "--resume", "--overwrite"}).find("--resume") != std::string::npos);
}

TEST_CASE("settings: --resume takes a file or none") {
  CHECK_FALSE(parse({"train"}).resume);
  CHECK(parse({"train", "--resume"}).resume);
  CHECK(parse({"train", "--resume"}).checkpoint.empty());
  CHECK(parse({"train", "--resume", "--out", "x"}).checkpoint.empty());
  CHECK(parse({"train", "--resume", "a.safetensors"}).checkpoint == "a.safetensors");
  CHECK_FALSE(parse({"train", "--resume", "a.safetensors"}).resume_if_any);
  CHECK(parse({"train", "--resume", "auto"}).resume);
  CHECK(parse({"train", "--resume", "auto"}).resume_if_any);
  CHECK(parse({"train", "--resume", "auto"}).checkpoint.empty());
}

TEST_CASE("settings: contradictions are refused") {
  Settings settings;
  CHECK_NOTHROW(check_consistent(settings));
  settings.training.schedule.kind = ScheduleKind::steps;
  CHECK_THROWS_AS(check_consistent(settings), UsageError);
  settings.training.schedule.milestones = {100, 50};
  CHECK_THROWS_AS(check_consistent(settings), UsageError);
  settings.training.schedule.milestones = {0.5, 100};
  CHECK_THROWS_AS(check_consistent(settings), UsageError);
  settings.training.schedule.milestones = {0.5, 1.0};
  CHECK_NOTHROW(check_consistent(settings));
  settings.training.schedule.milestones = {50, 100};
  CHECK_NOTHROW(check_consistent(settings));
  settings.training.epochs = 0;
  CHECK_THROWS_AS(check_consistent(settings), UsageError);
}

TEST_CASE("settings: a run goes on with what shaped it only") {
  Settings saved, wanted;
  resolve(saved);
  const auto message = [&](const char* key, const char* value) {
    wanted = saved;
    apply_overrides(wanted, {{key, value}});
    return message_of([&] { check_resumable(saved, wanted); });
  };
  CHECK(message("threads", "3") == "(no error)");
  CHECK(message("data", "elsewhere") == "(no error)");
  CHECK(message("precision", "bf16") == "(no error)");
  CHECK(message("precision", "f16").find("precision is \"f16\"") != std::string::npos);
  CHECK(message("seed", "7") ==
        "resume: seed is 7, but the run to be continued has 1; leave --seed out, or start another run with "
        "--out");
  CHECK(message("r", "2").find("r is 2, but the run to be continued has the model's own") !=
        std::string::npos);

  CHECK(message("max-steps", "100") == "(no error)");  // one-cycle follows the epochs
  CHECK(message("epochs", "9").find("epochs is 9") != std::string::npos);
  saved.training.schedule.kind = ScheduleKind::constant;
  saved.training.schedule.warm_up = 20;
  CHECK(message("epochs", "9") == "(no error)");
  saved.training.schedule.kind = ScheduleKind::cosine;
  saved.training.epochs = 0;
  saved.training.max_steps = 50;
  CHECK(message("max-steps", "100").find("max-steps is 100") != std::string::npos);
}

TEST_CASE("settings: where the run is saved between epochs, it is saved exactly there") {
  Settings settings;
  resolve(settings);
  CHECK(training_settings(settings, /*train_images=*/1000).exact_every == 0);
  settings.save_every = 30;
  CHECK(training_settings(settings, /*train_images=*/1000).exact_every == 30);
}

TEST_CASE("settings: a device evaluates in batches that divide a test split") {
  CHECK(evaluation_batch(Device::cpu()) == 128);
  CHECK(evaluation_batch(Device::cuda()) == 500);
  CHECK(10'000 % evaluation_batch(Device::cuda()) == 0);
  Settings settings;
  settings.device = "cpu";
  CHECK(training_settings(settings, /*train_images=*/1000).evaluation_batch_size == 128);
}

TEST_CASE("settings: the recipes are valid, and quick.toml is the defaults") {
  for (const auto& entry : std::filesystem::directory_iterator(FOVEA_RECIPES)) {
    INFO(entry.path());
    Settings settings;
    REQUIRE_NOTHROW(apply_toml_file(settings, entry.path().string()));
    resolve(settings);
    CHECK_NOTHROW(check_consistent(settings));
  }
  Settings quick, defaults;
  apply_toml_file(quick, std::string(FOVEA_RECIPES) + "/quick.toml");
  resolve(quick);
  resolve(defaults);
  CHECK(to_toml(quick, Selection::all) == to_toml(defaults, Selection::all));
}

TEST_CASE(
    "settings: a whole number may be written as 1.0, and is shown as it was written where it is wrong") {
  Settings settings;
  apply_toml(settings, "epochs = 1.0\nbatch-size = 6.4e1\np = 2.0\nseed = 9007199254740991.0\n",
             "recipe.toml");
  CHECK(settings.training.epochs == 1);
  CHECK(settings.training.batch_size == 64);
  CHECK(settings.network.p == 2);
  CHECK(settings.training.seed == 9007199254740991);
  apply_overrides(settings, {{"epochs", "3.0"}, {"max-steps", "1e3"}});
  CHECK(settings.training.epochs == 3);
  CHECK(settings.training.max_steps == 1000);
  CHECK(toml_message("epochs = 1.5").find("epochs is 1.5, wanted a whole number") != std::string::npos);
  CHECK(toml_message("epochs = -1.0").find("epochs is -1.0, wanted") != std::string::npos);
  CHECK(toml_message("model = 1.0").find("model is 1.0, wanted") != std::string::npos);
  CHECK(toml_message("seed = 1e300").find("seed is 1e+300, wanted a whole") != std::string::npos);
  CHECK(toml_message("seed = nan").find("seed is nan, wanted a whole") != std::string::npos);
  CHECK(toml_message("seed = inf").find("seed is inf, wanted a whole") != std::string::npos);
  for (const char* text : {"1.5", "1.0x", "inf", "nan", "1e300", ""}) {
    CHECK(message_of([&] {
            apply_overrides(settings, {{"epochs", text}});
          }).find("a whole number") != std::string::npos);
  }
}

TEST_CASE("settings: a folder is no settings file") {
  Settings settings;
  const std::string folder = std::filesystem::temp_directory_path().string();
  CHECK(message_of([&] { apply_toml_file(settings, folder); }).find(folder + " is a folder") !=
        std::string::npos);
}
