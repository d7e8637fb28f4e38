// cifar_trainer's train on a device that fails for good in the middle.
#include <catch2/catch.hpp>
#include <filesystem>
#include <memory>

#include "commands.h"
#include "fovea/core/check.h"
#include "fovea/cuda_emulator/emulator.h"
#include "temporary_folder.h"

using namespace fovea;

namespace {

cli::Arguments arguments_of(const std::string& out, std::vector<const char*> more) {
  std::vector<const char*> words = {
      "cifar_trainer", "train", "--dataset", "synthetic", "--limit", "4",    "--test-limit", "2",
      "--batch-size",  "2",     "--epochs",  "2",         "--lr",    "0.01", "--save-every", "1",
      "--device",      "cuda",  "--out",     out.c_str()};
  words.insert(words.end(), more.begin(), more.end());
  return cli::parse_command_line(static_cast<int>(words.size()), words.data()).value();
}

/// The error of a run whose device fails after so many kernels; "" if it has ended before.
std::string error_of(const cli::Arguments& arguments, int64_t kernels) {
  const std::shared_ptr<void> recovers(nullptr, [](void*) { emulator::fail_device(cudaSuccess); });
  if (kernels > 0) emulator::fail_device(cudaErrorIllegalAddress, kernels);
  try {
    const int exit_code = cli::train(arguments);
    CHECK(exit_code == 0);
  } catch (const DeviceLost& error) {
    CHECK(error.exit_code() == 4);
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("train: a device that fails ends a run with what to do next, and the run can go on") {
  const TemporaryFolder folder;
  const std::string out = folder / "run", last = out + "/last.safetensors";
  std::string early, late;
  for (int64_t kernels = 700; late.empty(); kernels += 700) {
    const std::string error = error_of(arguments_of(out, {"--overwrite"}), kernels);
    REQUIRE(error.find("an illegal memory access was encountered") != std::string::npos);
    (std::filesystem::exists(last) ? late : early) = error;
  }
  CHECK(early.find("nothing was saved yet, begin again with --overwrite") != std::string::npos);
  CHECK(late.find(" train --resume --out " + out) != std::string::npos);
  CHECK(error_of(arguments_of(out, {"--resume"}), /*kernels=*/0) == "");
}
