#pragma once

#include <string>
#include <vector>

namespace fovea {

/// The one of `names` that is the fewest letters to insert, delete or replace away from `word`, where a name
/// that contains the word counts as one letter away; empty if none is near.
std::string nearest(const std::string& word, const std::vector<std::string>& names);
/// "; did you mean NAME?", or nothing where no name is near.
std::string suggestion(const std::string& word, const std::vector<std::string>& names);

/// "a, b, c"
std::string joined(const std::vector<std::string>& names);

}  // namespace fovea
