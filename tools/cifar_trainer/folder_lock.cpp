#include "folder_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <string>

#include "fovea/core/check.h"
#include "host_name.h"

namespace fovea::cli {
namespace {

namespace fs = std::filesystem;

/// Whether `path` still names the open file: its owner may have removed it in the meantime.
bool is_same_file(int descriptor, const fs::path& path) {
  struct stat open_file {
  }, named_file{};
  return fstat(descriptor, &open_file) == 0 && lstat(path.c_str(), &named_file) == 0 &&
         open_file.st_ino == named_file.st_ino && open_file.st_dev == named_file.st_dev;
}

std::string this_process() {
  return str("process ", getpid(), " on ", host_name());
}

std::atomic<const FolderLock*> last_lock{nullptr};

/// What the owner of a lock has written about itself; only what this_process() can have written is shown.
std::string owner_of(int descriptor) {
  std::array<char, 300> text{};
  const ssize_t count = pread(descriptor, text.data(), text.size() - 1, 0);
  const std::string owner(text.data(), count > 0 ? static_cast<size_t>(count) : 0);
  const bool is_plain =
      owner.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_ ") ==
      std::string::npos;
  return owner.starts_with("process ") && is_plain ? owner : "another process";
}

}  // namespace

FolderLock::FolderLock(const fs::path& folder) : file_(folder / "run.lock") {
  const std::string owner = this_process();  // before there is anything to be undone
  try {
    constexpr int kAttempts = 100;
    for (int attempt = 0;; ++attempt) {
      check(attempt < kAttempts, "run: cannot make the folder ", folder.string(),
            ": it is not there after it has been made; choose another one with --out");
      make_folder(folder);
      open_file();
      if (descriptor_ < 0) continue;  // its owner has just left, with the folder
      // The lock goes with its process; a file system without locks does without.
      if (flock(descriptor_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
        throw UsageError(str("run: ", folder.string(), " is in use: ", owner_of(descriptor_),
                             " trains there; wait for its end, or choose another folder with --out"));
      }
      if (is_same_file(descriptor_, file_)) break;
      close(descriptor_);
      descriptor_ = -1;
    }
  } catch (...) {
    if (descriptor_ >= 0) close(descriptor_);
    remove_empty_folders();
    throw;
  }
  last_lock = this;
  // For messages only: whether it can be written does not matter.
  if (ftruncate(descriptor_, 0) != 0) return;
  [[maybe_unused]] const ssize_t written = pwrite(descriptor_, owner.data(), owner.size(), 0);
}

FolderLock::~FolderLock() {
  const FolderLock* self = this;
  last_lock.compare_exchange_strong(self, nullptr);
  unlink(file_.c_str());  // while it is locked, so that it is this process's
  close(descriptor_);
  remove_empty_folders();
}

void FolderLock::remove_file() noexcept {
  if (const FolderLock* lock = last_lock) unlink(lock->file_.c_str());
}

void FolderLock::make_folder(const fs::path& folder) {
  std::error_code error;
  std::vector<fs::path> missing;
  for (fs::path path = fs::absolute(folder).lexically_normal(); !fs::exists(path, error) && !error;
       path = path.parent_path()) {
    if (path.has_filename()) missing.insert(missing.begin(), path);
  }
  for (const fs::path& path : missing) {
    if (fs::create_directory(path, error)) made_.push_back(path);
    if (error) break;
  }
  if (!error && !fs::is_directory(folder, error) && !error)
    error = std::make_error_code(std::errc::not_a_directory);
  check(!error || error == std::errc::no_such_file_or_directory, "run: cannot make the folder ",
        folder.string(), ": ", error.message(), "; choose another one with --out");
}

/// Opens the file, or leaves it closed where the folder has gone.
void FolderLock::open_file() {
  descriptor_ = open(file_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
  // Nothing is asked for memory once the file is there: it would be left behind.
  const int error = errno;
  if (descriptor_ >= 0 || error == ENOENT) return;
  throw Error(str("run: cannot lock the folder with ", file_.string(), ": ", std::strerror(error),
                  "; see to its permissions and the free space, or choose another with --out"));
}

void FolderLock::remove_empty_folders() const {
  for (auto path = made_.rbegin(); path != made_.rend(); ++path) rmdir(path->c_str());
}

}  // namespace fovea::cli
