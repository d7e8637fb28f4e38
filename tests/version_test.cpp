#include <catch2/catch.hpp>

#include <string>

#include "fovea/config.h"

TEST_CASE("version: the text, the numbers and CMake's project are one version") {
  const std::string numbers = std::to_string(FOVEA_VERSION_MAJOR) + "." +
                              std::to_string(FOVEA_VERSION_MINOR) + "." + std::to_string(FOVEA_VERSION_PATCH);
  CHECK(numbers == FOVEA_VERSION);
  CHECK(numbers == FOVEA_PROJECT_VERSION);
}

TEST_CASE("version: numbers compare as versions do, for the preprocessor, too") {
#if FOVEA_VERSION_NUMBER < FOVEA_MAKE_VERSION_NUMBER(0, 1, 0) || \
    FOVEA_VERSION_NUMBER >= FOVEA_MAKE_VERSION_NUMBER(FOVEA_VERSION_MAJOR, FOVEA_VERSION_MINOR + 1, 0)
  FAIL("FOVEA_VERSION_NUMBER is " << FOVEA_VERSION_NUMBER);
#endif
  STATIC_REQUIRE(FOVEA_MAKE_VERSION_NUMBER(0, 1, 999) < FOVEA_MAKE_VERSION_NUMBER(0, 2, 0));
  STATIC_REQUIRE(FOVEA_MAKE_VERSION_NUMBER(0, 999, 999) < FOVEA_MAKE_VERSION_NUMBER(1, 0, 0));
}
