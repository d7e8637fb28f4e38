// Weights to and from PyTorch: export --torch and import.
#include <catch2/catch.hpp>
#include <filesystem>
#include <functional>
#include <map>

#include "fovea/training/checkpoint.h"
#include "trainer_program.h"

using namespace fovea;
using Catch::Contains;

namespace {

/// A file of export --torch, made once.
const std::string& exported() {
  static const TemporaryFolder folder;
  static const std::string file = [] {
    const Outcome outcome = trainer(
        {"export", "--checkpoint", finished_run(), "--weights", folder / "small.safetensors", "--torch"});
    INFO(outcome.err);
    REQUIRE(outcome.code == 0);
    return folder / "small.safetensors";
  }();
  return file;
}

}  // namespace

TEST_CASE(
    "trainer_import: what was exported for PyTorch comes back with the same numbers and the same card") {
  const TemporaryFolder folder;
  const std::string file = folder / "imported.safetensors";
  const Outcome outcome = trainer({"import", exported(), "--out", file});
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  CHECK_THAT(outcome.err, Contains("attention-nano, 239098 parameters") && Contains("of the file"));
  const Checkpoint whole = read_checkpoint(finished_run() + "/best.safetensors"),
                   imported = read_checkpoint(file);
  CHECK(imported.normalisation.mean == whole.normalisation.mean);
  CHECK(imported.normalisation.deviation == whole.normalisation.deviation);
  CHECK(imported.info == whole.info);
  REQUIRE(imported.model.size() == whole.model.size());
  for (size_t i = 0; i < whole.model.size(); ++i) {
    CHECK(imported.model[i].name == whole.model[i].name);
    CHECK(imported.model[i].tensor.to_doubles() == whole.model[i].tensor.to_doubles());
  }
  const SafetensorsFile torch = read_safetensors(exported());
  CHECK(torch.metadata.at("format") == "pt");
  CHECK(torch.find("stages.0.attention_modules.0.trunk.0.norm1.num_batches_tracked")->item() ==
        static_cast<double>(whole.progress.step));
}

TEST_CASE("trainer_import: a file that says nothing gets what the flags and the dataset say") {
  const TemporaryFolder folder;
  SafetensorsFile bare = read_safetensors(exported());
  bare.metadata.clear();
  write_safetensors(folder / "bare.safetensors", bare);
  check_failure({"import", folder / "bare.safetensors", "--out", folder / "a.safetensors"}, 2,
                "does not say which network its weights are of; --model names it");
  const Outcome outcome = trainer({"import", folder / "bare.safetensors", "--out", folder / "a.safetensors",
                                   "--model", "attention-nano", "--t", "1", "--dataset", "synthetic"});
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  CHECK_THAT(outcome.err, Contains("10 classes and the normalisation of synthetic"));
  CHECK(trainer({"info", "--checkpoint", folder / "a.safetensors"}).code == 0);
}

TEST_CASE("trainer_import: a wrong file or flag is refused by name, and nothing is written") {
  const TemporaryFolder folder;
  const std::string out = folder / "out.safetensors", file = folder / "file.safetensors";
  const auto refuse = [&](const std::string& from, int code, const std::string& message,
                          const Words& flags = {}) {
    Words words{"import", from, "--out", out};
    words.insert(words.end(), flags.begin(), flags.end());
    check_failure(words, code, message);
    CHECK_FALSE(std::filesystem::exists(out));
  };
  const auto changed = [&](const std::function<void(SafetensorsFile&)>& change) {
    SafetensorsFile state = read_safetensors(exported());
    change(state);
    write_safetensors(file, state);
    return file;
  };
  const auto with_text = [&](const std::string& key, const std::string& text) {
    return changed([&](SafetensorsFile& state) { state.metadata[key] = text; });
  };
  const std::string bytes = file_bytes(exported());

  refuse(folder / "none.safetensors", 5, "none.safetensors");
  refuse(folder.path().string(), 5, folder.path().string());
  write_file(file, "");
  refuse(file, 5, file);
  write_file(file, "PK\x03\x04 archive/data.pkl");
  refuse(file, 5, "ZIP archive");
  write_file(file, bytes.substr(0, bytes.size() - 1));
  refuse(file, 5, file);
  write_file(file, bytes.substr(0, 100));
  refuse(file, 5, file);
  std::string flipped = bytes;
  flipped[bytes.size() - 3] ^= 1;
  write_file(file, flipped);
  refuse(file, 5, file);
  refuse(finished_run() + "/best.safetensors", 5, "is a checkpoint of Fovea already");
  refuse(exported(), 5, "stages.0", {"--model", "attention56"});
  refuse(exported(), 5, "trunk.1", {"--t", "2"});
  refuse(exported(), 2, "attention-nona", {"--model", "attention-nona"});
  refuse(with_text("info.cifar_trainer.settings", "model = \"resnet\""), 5, "resnet");
  refuse(with_text("info.cifar_trainer.settings", "model = "), 5, file);
  refuse(with_text("info.cifar_trainer.class_names", ""), 5, "names no classes");
  refuse(with_text("info.cifar_trainer.class_names", "cat\ndog\n"), 5, "linear.weight");
  refuse(with_text("normalisation.mean.1", "nan"), 5, "normalisation.mean.1");
  refuse(with_text("normalisation.mean.0", "half"), 5, "wanted a number");
  refuse(with_text("normalisation.deviation.2", "0"), 5, "wanted more than 0");
  refuse(changed([](SafetensorsFile& state) { state.metadata.erase("normalisation.deviation.0"); }), 5,
         "normalisation.deviation.0");
  check_failure({"import", exported(), "--out", folder / "out.pt"}, 2, "ends in .safetensors");
  write_file(out, "kept");
  check_failure({"import", exported(), "--out", out}, 2, "is there already");
  CHECK(file_bytes(out) == "kept");
}
