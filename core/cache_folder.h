#pragma once

#include <string>

namespace fovea {

/// The folder in which Fovea keeps what it can get again, datasets and choices: $XDG_CACHE_HOME/fovea or
/// ~/.cache/fovea. It need not exist yet. DataError if the user has no home folder.
std::string cache_folder();

}  // namespace fovea
