#pragma once

#include <string>
#include <vector>

namespace fovea::cli {

/// The one of `names` that is the fewest edits away from `word`; empty if none is near.
std::string nearest(const std::string& word, const std::vector<std::string>& names);
/// "; did you mean NAME?", or nothing where no name is near.
std::string suggestion(const std::string& word, const std::vector<std::string>& names);

}  // namespace fovea::cli
