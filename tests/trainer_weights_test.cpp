// Networks without the state of their training: export, and those that come with the program.
#include <catch2/catch.hpp>
#include <cmath>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "fovea/core/check.h"
#include "fovea/training/checkpoint.h"
#include "installed_files.h"
#include "trainer_program.h"

using namespace fovea;
using namespace fovea::cli;
using Catch::Contains;
using Json = nlohmann::json;

TEST_CASE("trainer_weights: export rounds filters to f16, and its card says what evaluate says") {
  const TemporaryFolder folder;
  const std::string file = folder / "small.safetensors";
  const Outcome outcome = trainer({"export", "--checkpoint", finished_run(), "--weights", file});
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  const Checkpoint narrow = read_checkpoint(file),
                   whole = read_checkpoint(finished_run() + "/best.safetensors");
  CHECK(narrow.optimiser.empty());
  REQUIRE(narrow.model.size() == whole.model.size());
  std::map<std::string, Tensor> by_name;  // a file has the tensors of one dtype behind those of another
  for (const NamedTensor& entry : narrow.model) by_name[entry.name] = entry.tensor;
  for (const auto& [name, wanted] : whole.model) {
    INFO(name);
    REQUIRE(by_name.contains(name));
    const Tensor found = by_name[name];
    CHECK(found.dtype() == (wanted.rank() > 1 ? Dtype::f16 : Dtype::f32));
    const std::vector<double> a = found.to_doubles(), b = wanted.to_doubles();
    for (size_t j = 0; j < a.size(); ++j) {
      if (!(std::abs(a[j] - b[j]) <= std::abs(b[j]) * 0x1p-11 + 0x1p-25)) FAIL(a[j] << " for " << b[j]);
    }
  }
  CHECK(std::filesystem::file_size(file) < 700000);

  const Outcome evaluated = trainer({"evaluate", "--checkpoint", file, "--json"});
  REQUIRE(evaluated.code == 0);
  const Json report = Json::parse(evaluated.out);
  char accuracy[100];
  std::snprintf(accuracy, sizeof accuracy, "| accuracy | %.2f%% of the %d test images of synthetic |",
                100 * report["accuracy"].get<double>(), report["images"].get<int>());
  const std::string card = file_bytes(folder / "small.md");
  CHECK_THAT(card, Contains("# attention-nano") && Contains(accuracy) &&
                       Contains("| parameters | 239098 |") && Contains("seed 1") &&
                       Contains("16 training images, on which the epoch was chosen") &&
                       Contains("Classes: circle,") && Contains("batch-size = 8"));
  CHECK(trainer(short_run(folder / "run", {"--init", file, "--max-steps", "1"})).code == 0);
  CHECK_THAT(trainer({"info", "--checkpoint", file}).out, Contains("239098"));

  for (const std::string& there : {file, finished_run() + "/last.safetensors"}) {
    check_failure({"export", "--checkpoint", finished_run(), "--weights", there}, 2,
                  there + " is there already");
  }
  check_failure({"export", "--checkpoint", finished_run(), "--weights", folder / "small.onnx"}, 2,
                "wanted a name that ends in .safetensors");
  check_failure({"export", "--checkpoint", finished_run(), "--weights", folder / "none/small.safetensors"}, 5,
                "none");
}

TEST_CASE("trainer_weights: a network is found by its name, or named as what there is") {
  const TemporaryFolder folder;
  for (const char* name : {"attention56.safetensors", "attention56.md", "attention-nano.safetensors"}) {
    write_file(folder / name, "");
  }
  CHECK(weights_file_of("attention56", folder.path()) == folder / "attention56.safetensors");
  CHECK_THROWS_WITH(weights_file_of("attention65", folder.path()),
                    Contains("there are none called \"attention65\"") &&
                        Contains("attention-nano, attention56; did you mean attention56?"));
  CHECK_THROWS_AS(weights_file_of("attention56", folder.path() / "none"), UsageError);
  check_failure({"evaluate", "--weights", "no-such"}, 2, "there are none called \"no-such\"");
  check_failure({"evaluate", "--weights", "x", "--checkpoint", finished_run()}, 2,
                "--checkpoint excludes --weights");
  check_failure({"evaluate"}, 2, "evaluate: --checkpoint is required");
}
