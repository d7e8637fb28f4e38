// Recipes by their names: cifar_trainer train --config paper.
#include "recipes.h"

#include <dirent.h>
#include <dlfcn.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <filesystem>

#include "fovea/core/check.h"
#include "settings.h"
#include "trainer_program.h"

namespace {

bool listing_fails = false;  // after the first entry

template <class Entry>
Entry* next_entry(const char* function, DIR* folder) {
  static int entries = 0;
  if (listing_fails && entries++ > 0) {
    errno = EIO;
    return nullptr;
  }
  return reinterpret_cast<Entry* (*)(DIR*)>(dlsym(RTLD_NEXT, function))(folder);
}

}  // namespace

// In the place of libc's.
extern "C" dirent* readdir(DIR* folder) {
  return next_entry<dirent>("readdir", folder);
}
extern "C" dirent64* readdir64(DIR* folder) {
  return next_entry<dirent64>("readdir64", folder);
}

namespace fovea {
using namespace cli;

namespace {

/// In another folder while it lives.
class Inside {
 public:
  explicit Inside(const std::filesystem::path& folder) { std::filesystem::current_path(folder); }
  ~Inside() { std::filesystem::current_path(before_); }

 private:
  std::filesystem::path before_ = std::filesystem::current_path();
};

TEST_CASE("recipes: a name is a recipe where there is no such file") {
  const TemporaryFolder recipes, work;
  for (const char* name : {"paper.toml", "quick.toml", "notes.txt"}) write_file(recipes / name, "lr = 1\n");
  const Inside inside(work.path());
  const auto file_of = [&](const std::string& config) { return settings_file_of(config, recipes.path()); };
  CHECK(recipe_names(recipes.path()) == std::vector<std::string>{"paper", "quick"});
  CHECK(file_of("paper") == recipes / "paper.toml");
  CHECK(file_of("quick.toml") == recipes / "quick.toml");
  // A path is left alone, there or not: what reads it says what is wrong.
  CHECK(file_of("./paper") == "./paper");
  CHECK(file_of("runs/a/settings.toml") == "runs/a/settings.toml");
  CHECK(file_of("") == "");
  // What is here comes first, a folder excepted, such as that of a run.
  write_file(work / "paper.toml", "lr = 2\n");
  std::filesystem::create_directory(work / "quick");
  CHECK(file_of("paper.toml") == "paper.toml");
  CHECK(file_of("quick") == recipes / "quick.toml");
  std::filesystem::create_directory(work / "other");
  CHECK(file_of("other") == "other");
}

TEST_CASE("recipes: one that there is not is an error with the names that there are") {
  const TemporaryFolder recipes, work;
  const Inside inside(work.path());
  const auto file_of = [&](const std::string& config) { return settings_file_of(config, recipes.path()); };
  const std::string where = recipes.path().string();
  CHECK_THROWS_WITH(file_of("paper"), Catch::Contains(where + ", which has none; --config takes"));
  for (const char* name : {"paper.toml", "quick.toml"}) write_file(recipes / name, "");
  CHECK_THROWS_WITH(
      file_of("papre.toml"),
      "settings: there is no file \"papre.toml\" in this folder, and no recipe of that name in " + where +
          ", which has paper, quick; did you mean paper?; --config takes a TOML file or a recipe's name");
  CHECK_THROWS_AS(file_of("x"), UnreadableSettings);
  CHECK_THROWS_WITH(settings_file_of("x", work / "missing"), Catch::Contains("missing, which has none"));
}

TEST_CASE("recipes: a folder that cannot be listed to its end has those that were seen") {
  const TemporaryFolder recipes, work;
  const Inside inside(work.path());
  for (const char* name : {"paper.toml", "quick.toml"}) write_file(recipes / name, "");
  listing_fails = true;
  std::vector<std::string> names = {"not listed"};
  CHECK_NOTHROW(names = recipe_names(recipes.path()));
  listing_fails = false;
  CHECK(names.size() <= 1);
}

TEST_CASE("recipes: the program has its own beside it, and its help names them") {
  const Outcome help = trainer({"train", "--help"});
  REQUIRE(help.code == 0);
  const std::vector<std::string> names = recipe_names(FOVEA_RECIPES);
  CHECK(names.size() >= 3);
  for (const std::string& name : names) {
    INFO(name);
    CHECK_THAT(help.out, Catch::Contains("recipe") && Catch::Contains(name));
  }
  const TemporaryFolder folder;
  const Outcome outcome = trainer(short_run(folder / "run", {"--config", "report", "--max-steps", "1"}));
  INFO(outcome.err);
  CHECK(outcome.code == 0);
  check_failure({"train", "--config", "raport", "--out", folder / "other"}, 2,
                "fast, paper, quick, report, strong; did you mean report?");
}

}  // namespace
}  // namespace fovea
