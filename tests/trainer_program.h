#pragma once

#include <catch2/catch.hpp>
#include <filesystem>
#include <string>
#include <vector>

#include "run_program.h"
#include "test_files.h"

namespace fovea {

using Words = std::vector<std::string>;

/// The command line of cifar_trainer with `words`.
inline Words command(const Words& words) {
  const auto here = std::filesystem::path(this_program()).parent_path();
  Words all = {(here.parent_path() / "bin" / "cifar_trainer").string()};
  all.insert(all.end(), words.begin(), words.end());
  return all;
}

inline Outcome trainer(const Words& words) {
  return run_program(command(words));
}

/// The flags of a run of 24 steps, 8 an epoch, that takes about a second.
inline Words short_run(const std::string& out, const Words& more = {}) {
  Words words = {"train", "--dataset",    "synthetic", "--limit",      "80", "--validation",
                 "16",    "--test-limit", "32",        "--batch-size", "8",  "--epochs",
                 "3",     "--t",          "1",         "--out",        out};
  words.insert(words.end(), more.begin(), more.end());
  return words;
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
