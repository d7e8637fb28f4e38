#pragma once

#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <string>
#include <vector>

#include "run_program.h"
#include "test_files.h"

namespace fovea {

using Words = std::vector<std::string>;

inline Words joined(Words first, const Words& then) {
  first.insert(first.end(), then.begin(), then.end());
  return first;
}

/// The command line of cifar_trainer, or of another program beside it, with `words`.
inline Words command(const Words& words, const char* program = "cifar_trainer") {
  const auto here = std::filesystem::path(this_program()).parent_path();
  return joined({(here.parent_path() / "bin" / program).string()}, words);
}

inline Outcome trainer(const Words& words) {
  return run_program(command(words));
}

/// The flags of a run of 24 steps, 8 an epoch, that takes about a second.
inline Words short_run(const std::string& out, const Words& more = {}) {
  const Words words = {"train", "--dataset",    "synthetic", "--limit",      "80", "--validation",
                       "16",    "--test-limit", "32",        "--batch-size", "8",  "--epochs",
                       "3",     "--t",          "1",         "--out",        out};
  return joined(words, more);
}

/// Those of a run that does not end by itself, of steps that are saved one by one.
inline Words long_run(const std::string& out, const Words& more = {}) {
  Words words = short_run(out, {"--save-every", "1"});
  *(std::find(words.begin(), words.end(), "--epochs") + 1) = "1000000";
  return joined(words, more);
}

/// The folder of such a run, made once for all tests of a program that need one.
inline const std::string& finished_run() {
  static const TemporaryFolder folder;
  static const std::string out = [] {
    const Outcome outcome = trainer(short_run(folder / "run"));
    INFO(outcome.err);
    REQUIRE(outcome.code == 0);
    CHECK(outcome.out.empty());
    return folder / "run";
  }();
  return out;
}

/// Runs it and checks that it fails with `code`, and says so on standard error alone.
inline void check_failure(const Words& words, int code, const std::string& message) {
  const Outcome outcome = trainer(words);
  INFO(outcome.err);
  CHECK(outcome.code == code);
  CHECK(outcome.out.empty());
  CHECK_THAT(outcome.err, Catch::Contains("cifar_trainer: ") && Catch::Contains(message));
}

}  // namespace fovea
