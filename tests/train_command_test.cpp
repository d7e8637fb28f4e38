// cifar_trainer on an emulated device: one that fails for good in the middle, and one that lacks a precision.
#include <fcntl.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "commands.h"
#include "fovea/core/check.h"
#include "fovea/core/device_dtype.h"
#include "fovea/cuda_emulator/emulator.h"
#include "setup.h"
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

/// What a body writes to standard output.
template <class Body>
std::string output_of(Body body) {
  const TemporaryFolder folder;
  const std::string path = folder / "output";
  std::fflush(stdout);
  const int before = dup(STDOUT_FILENO), file = open(path.c_str(), O_WRONLY | O_CREAT, 0600);
  dup2(file, STDOUT_FILENO);
  body();
  std::fflush(stdout);
  dup2(before, STDOUT_FILENO);
  close(before);
  close(file);
  return file_bytes(path);
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

TEST_CASE(
    "train: a precision that the device lacks is refused before anything is made, and devices lists the "
    "others") {
  const bool has_all = has_bf16(Device::cuda());
  CHECK(output_of([] {
          cli::devices();
        }).find(has_all ? "precision f32, tf32, bf16 or f16\n" : "precision f32 or f16\n") !=
        std::string::npos);
  const TemporaryFolder folder;
  for (const std::string precision : {"f32", "f16", "tf32", "bf16"}) {
    cli::Settings settings;
    settings.device = "cuda";
    settings.training.precision = parse_enum<Precision>(precision);
    if (has_all || precision == "f32" || precision == "f16") {
      CHECK(cli::prepare_device(settings) == Device::cuda());
      continue;
    }
    const std::string wanted =
        "precision: " + precision +
        " needs a GPU of compute capability 8.0 or later, and cuda:0 is emulated on the CPU, "
        "compute capability 7.5";
    CHECK_THROWS_WITH(cli::prepare_device(settings),
                      Catch::Contains(wanted) && Catch::Contains("wanted f16 or f32"));
    const std::string out = folder / precision;
    CHECK_THROWS_AS(cli::train(arguments_of(out, {"--precision", precision.c_str()})), UsageError);
    CHECK_FALSE(std::filesystem::exists(out));
  }
}
