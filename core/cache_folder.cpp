#include "fovea/core/cache_folder.h"

#include <pwd.h>
#include <unistd.h>

#include <filesystem>

#include "fovea/core/check.h"
#include "fovea/core/environment.h"

namespace fovea {
namespace {

/// The user's home: $HOME, or what the password database says.
std::string home_folder() {
  std::string home = environment("HOME");
  if (!home.empty()) return home;
  const passwd* user = getpwuid(getuid());
  check<DataError>(user != nullptr && user->pw_dir != nullptr,
                   "cache_folder: the user has no home folder; set HOME or XDG_CACHE_HOME");
  return user->pw_dir;
}

}  // namespace

std::string cache_folder() {
  // The XDG base directory specification says to ignore a relative path.
  const std::filesystem::path xdg = environment("XDG_CACHE_HOME");
  if (xdg.is_absolute()) return (xdg / "fovea").string();
  return (std::filesystem::path(home_folder()) / ".cache" / "fovea").string();
}

}  // namespace fovea
