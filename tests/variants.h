#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "fovea/layers/module.h"

namespace fovea::test {

/// A narrow net of each variant; tests/golden/make_golden.py has the same ones under the same names.
struct Variant {
  std::string name;
  int64_t smallest_input;  // height and width
  std::function<std::unique_ptr<Model>(uint64_t seed)> make;
};
inline constexpr int64_t kVariantClasses = 5;
const std::vector<Variant>& variants();

}  // namespace fovea::test
