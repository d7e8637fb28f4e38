#include "fovea/core/suggestion.h"

#include <catch2/catch.hpp>

using namespace fovea;

TEST_CASE("nearest: few edits, or none at all") {
  const std::vector<std::string> names = {"epochs", "seed", "weight-decay"};
  CHECK(nearest("epoch", names) == "epochs");
  CHECK(nearest("weigth-decay", names) == "weight-decay");
  CHECK(nearest("weight", names) == "weight-decay");
  CHECK(nearest("", names).empty());
  CHECK(nearest("completely-different", names).empty());
  CHECK(suggestion("sead", names) == "; did you mean seed?");
  CHECK(suggestion("completely-different", names).empty());
}
