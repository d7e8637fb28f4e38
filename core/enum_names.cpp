#include "fovea/core/enum_names.h"

#include <algorithm>

#include "fovea/core/check.h"
#include "fovea/core/suggestion.h"

namespace fovea {

const char* name_at(std::span<const char* const> names, size_t place) {
  return place < names.size() ? names[place] : "unknown";
}

size_t place_of(const std::string& name, std::span<const char* const> names, const char* what) {
  const auto found = std::find(names.begin(), names.end(), name);
  if (found != names.end()) return static_cast<size_t>(found - names.begin());
  const std::vector<std::string> all(names.begin(), names.end());
  throw UsageError(
      str(what, " is ", in_quotes(name), ", wanted one of ", joined(all), suggestion(name, all)));
}

}  // namespace fovea
