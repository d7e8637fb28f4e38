#pragma once

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

/// Calls of the system that stand in for libc's in the program that includes this, once: they take down what
/// is made durable and renamed, and fail where a test says so.
namespace fovea::file_calls {

inline std::vector<std::string> calls;  // "sync NAME", "rename NAME NAME", in order; names without folders
inline std::string stat_fails_for;      // names that end so cannot be looked at by their paths
inline int failed_stats = 0;
inline std::string sync_fails_for;  // fsync of a file whose name ends so fails

inline std::string name_of(const std::string& path) {
  return std::filesystem::path(path).filename().string();
}

inline bool ends_as(const std::string& path, const std::string& end) {
  return !end.empty() && path.ends_with(end);
}

inline int look_at(const char* path, struct stat* status, int flags) {
  if (ends_as(path, stat_fails_for)) {
    ++failed_stats;
    errno = EIO;
    return -1;
  }
  return static_cast<int>(syscall(SYS_newfstatat, AT_FDCWD, path, status, flags));
}

}  // namespace fovea::file_calls

extern "C" int stat(const char* path, struct stat* status) noexcept {
  return fovea::file_calls::look_at(path, status, 0);
}

extern "C" int lstat(const char* path, struct stat* status) noexcept {
  return fovea::file_calls::look_at(path, status, AT_SYMLINK_NOFOLLOW);
}

extern "C" int fsync(int descriptor) {
  using namespace fovea::file_calls;
  std::error_code ignored;
  const std::string path =
      std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(descriptor), ignored).string();
  if (ends_as(path, sync_fails_for)) {
    errno = EIO;
    return -1;
  }
  calls.push_back("sync " + name_of(path));
  return static_cast<int>(syscall(SYS_fsync, descriptor));
}

extern "C" int rename(const char* from, const char* to) noexcept {
  using namespace fovea::file_calls;
  calls.push_back("rename " + name_of(from) + " " + name_of(to));
  return static_cast<int>(syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0));
}
