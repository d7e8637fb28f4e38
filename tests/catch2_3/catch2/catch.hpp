// Catch2 3 by the names of Catch2 2, for systems that have no other: on the include path only there.
#pragma once

#include <catch2/catch_all.hpp>

namespace Catch {

using Matchers::EndsWith;
using Matchers::Message;
using Matchers::StartsWith;
/// Of a text; Matchers::Contains is of a range.
inline auto Contains(const std::string& text) {
  return Matchers::ContainsSubstring(text);
}

}  // namespace Catch

using Catch::Approx;
