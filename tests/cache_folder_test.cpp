#include "fovea/core/cache_folder.h"

#include <catch2/catch.hpp>

#include "test_files.h"

using namespace fovea;

TEST_CASE("cache_folder: XDG_CACHE_HOME if it is absolute, else under the home folder") {
  const TemporaryFolder home;
  const ScopedVariable home_variable("HOME", home.path().string().c_str()), none("XDG_CACHE_HOME", nullptr);
  CHECK(cache_folder() == home / ".cache/fovea");
  {
    const ScopedVariable xdg("XDG_CACHE_HOME", "/somewhere/else");
    CHECK(cache_folder() == "/somewhere/else/fovea");
  }
  const ScopedVariable relative("XDG_CACHE_HOME", "not/absolute");
  CHECK(cache_folder() == home / ".cache/fovea");
  const ScopedVariable no_home("HOME", nullptr);
  CHECK(cache_folder().ends_with("/.cache/fovea"));
}
