// export --onnx: what is written, and what of ONNX Runtime's answer is done. A script stands for Python with
// it.
#include <catch2/catch.hpp>
#include <filesystem>

#include "trainer_program.h"

using namespace fovea;
using Catch::Contains;

#if FOVEA_HAS_ONNX

namespace {

/// A program that answers as `python3 check_onnx.py` would.
std::string python_that(const TemporaryFolder& folder, const std::string& body) {
  const std::string path = folder / "python";
  write_file(path, "#!/bin/sh\n" + body + "\n");
  std::filesystem::permissions(path, std::filesystem::perms::owner_all);
  return path;
}

Words export_to(const std::string& file, const Words& more = {}) {
  Words words = {"export", "--checkpoint", finished_run(), "--onnx", file};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

}  // namespace

TEST_CASE("trainer_onnx: export writes a graph, compared with ONNX Runtime where that is") {
  const TemporaryFolder folder;
  // Says what it was given instead of computing it.
  const std::string python = python_that(folder, "ls \"$4\" | tr '\\n' ' ' >" + (folder / "given") +
                                                     "\necho '{\"version\": \"1.2\", \"difference\": 2.5e-7, "
                                                     "\"other_classes\": 1}'");
  const ScopedVariable variable("FOVEA_PYTHON", python.c_str());
  const std::string file = folder / "small.onnx";
  const Outcome outcome = trainer(export_to(file, {"--masks", "--logits"}));
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  CHECK_THAT(outcome.err, Contains("small.onnx: ") && Contains("MB, opset 17, checked by ONNX") &&
                              Contains("ONNX Runtime 1.2 on 16 drawn images: another class for 1; largest "
                                       "difference 2.5e-07 of the largest number of an output") &&
                              !Contains("warning"));
  CHECK(file_bytes(folder / "given") ==
        "answer images.npy logits.npy model.onnx stages.0.modules.0.mask.npy stages.1.modules.0.mask.npy "
        "stages.2.modules.0.mask.npy ");
  const std::string bytes = file_bytes(file);
  for (const char* text : {"stages.0.modules.0.mask", "logits", "attention-nano", "[\"circle\",",
                           "accuracy_of", "16 validation images"}) {
    CHECK_THAT(bytes, Contains(text));
  }
  check_failure(export_to(file), 2, "small.onnx is there already");
}

TEST_CASE(
    "trainer_onnx: a large difference is warned of, and a graph that cannot be computed is not written") {
  const TemporaryFolder folder;
  const std::string file = folder / "small.onnx";
  const auto fails = [&](const std::string& answer, const std::string& message) {
    const std::string python = python_that(folder, answer);
    const ScopedVariable variable("FOVEA_PYTHON", python.c_str());
    check_failure(export_to(file), 1, message);
    CHECK_FALSE(std::filesystem::exists(file));
  };
  fails("echo cannot compute; exit 1",
        "ONNX Runtime could not compute the graph, which was not written: cannot compute");
  fails("echo hello", "printed what is no result: hello");
  const std::string python =
      python_that(folder, "echo '{\"version\": \"1.2\", \"difference\": 0.5, \"other_classes\": 0}'");
  const ScopedVariable variable("FOVEA_PYTHON", python.c_str());
  const Outcome outcome = trainer(export_to(file));
  CHECK(outcome.code == 0);
  CHECK_THAT(outcome.err, Contains("the same class for all; largest difference 5.0e-01") &&
                              Contains("warning: that is much for sums in another order"));
  CHECK(std::filesystem::exists(file));
}

TEST_CASE("trainer_onnx: without ONNX Runtime the graph is written, and what is missing is said") {
  const TemporaryFolder folder;
  {
    const std::string python = python_that(folder, "echo no module; exit 3");
    const ScopedVariable variable("FOVEA_PYTHON", python.c_str());
    const Outcome outcome = trainer(export_to(folder / "a.onnx"));
    CHECK(outcome.code == 0);
    CHECK_THAT(outcome.err, Contains("not compared with ONNX Runtime (") && Contains("python: no module)"));
  }
  const ScopedVariable variable("FOVEA_PYTHON", "/no/such/python");
  const Outcome outcome = trainer(export_to(folder / "b.onnx"));
  CHECK(outcome.code == 0);
  CHECK_THAT(outcome.err, Contains("not compared with ONNX Runtime (/no/such/python: "));
  CHECK(file_bytes(folder / "a.onnx") == file_bytes(folder / "b.onnx"));
}

#else

TEST_CASE("trainer_onnx: a build without ONNX says what is missing") {
  check_failure({"export", "--checkpoint", finished_run(), "--onnx", "a.onnx"}, 2,
                "--onnx is not in this build: the export to ONNX is off (");
}

#endif

TEST_CASE("trainer_onnx: flags that do not go together are refused") {
  check_failure({"export", "--onnx", "a.onnx"}, 2, "--onnx takes one network");
  check_failure({"export", "--onnx", "a.onnx", "--weights", "x", "--checkpoint", "y"}, 2,
                "--onnx takes one network");
  check_failure({"export", "--checkpoint", "y", "--weights", "x.safetensors", "--masks"}, 2,
                "--masks requires --onnx");
  check_failure({"export", "--weights", "x.safetensors"}, 2, "--checkpoint is required");
  check_failure({"export", "--checkpoint", "y"}, 2, "--weights is required");
  check_failure({"export", "--weights", "x", "--onnx", "a.onnx", "--input", "u9"}, 2,
                "input is \"u9\", wanted one of");
}
