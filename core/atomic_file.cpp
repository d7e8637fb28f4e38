#include "fovea/core/atomic_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

namespace fovea {
namespace {

// How often a file is created anew that other processes create and remove at the same time.
constexpr int kAttempts = 100;

bool is_same_file(const struct stat& a, const struct stat& b) {
  return a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

}  // namespace

AtomicFile::AtomicFile(const std::string& path, std::string operation, Thrower thrower)
    : path_(path), part_(path + ".part"), operation_(std::move(operation)), thrower_(thrower) {
  try {
    open_part();
  } catch (...) {
    if (descriptor_ >= 0) close(descriptor_);
    throw;
  }
}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  unlink(part_.c_str());
  close(descriptor_);
}

/// Creates the file anew, so that nothing that somebody has put there is written to, and locks it.
void AtomicFile::open_part() {
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    descriptor_ = open(part_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (descriptor_ < 0) {
      if (errno != EEXIST) fail("cannot be created");
      remove_left_over();
      continue;
    }
    // The lock keeps two writers apart, and goes with its process; a file system without locks does without.
    const bool is_taken = flock(descriptor_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    struct stat own {
    }, named{};
    const bool is_known = fstat(descriptor_, &own) == 0 && lstat(part_.c_str(), &named) == 0;
    if (!is_known && errno != ENOENT) {
      const int code = errno;
      unlink(part_.c_str());  // it was created a moment ago
      errno = code;
      fail("cannot be looked at");
    }
    // Another writer may have taken the new file for one that a killed writer had left.
    if (!is_taken && is_known && is_same_file(own, named)) return;
    close(descriptor_);
    descriptor_ = -1;
  }
  errno = EAGAIN;
  fail("is created and removed by others");
}

/// Removes what stands in the place of the .part, unless it is the file of a writer that is at work.
void AtomicFile::remove_left_over() {
  struct stat named {};
  if (lstat(part_.c_str(), &named) != 0) {
    if (errno == ENOENT) return;
    fail("cannot be looked at");
  }
  if (S_ISREG(named.st_mode)) {
    const int other = open(part_.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (other >= 0) {
      const bool is_taken = flock(other, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
      struct stat locked {};
      const bool is_same =
          fstat(other, &locked) == 0 && lstat(part_.c_str(), &named) == 0 && is_same_file(locked, named);
      // While it is locked: nobody but the owner of the lock removes it.
      const bool is_removed = !is_taken && is_same && unlink(part_.c_str()) == 0;
      const int code = errno;
      close(other);
      if (is_taken && is_same) {
        fail_with(part_ + ": another process is writing this file; give it its own folder");
      }
      errno = code;
      if (!is_taken && is_same && !is_removed && code != ENOENT) fail("cannot be removed");
      return;
    }
    if (errno == ENOENT) return;
  } else if (S_ISDIR(named.st_mode)) {
    errno = EISDIR;
    fail("cannot be created");
  }
  if (unlink(part_.c_str()) != 0 && errno != ENOENT) fail("cannot be removed");
}

void AtomicFile::fail(const char* action) const {
  const int code = errno;
  struct stat named {};
  const bool is_there = lstat(path_.c_str(), &named) == 0;
  fail_with(str(part_, ": ", action, ": ", std::strerror(code), "; ", path_,
                is_there ? " is as it was" : " was not made",
                "; check the folder, its permissions and the free space"));
}

void AtomicFile::fail_with(const std::string& message) const {
  thrower_(operation_ + ": " + message);
  throw CheckpointError(message);  // what a thrower never comes to
}

void AtomicFile::write(const void* bytes, size_t count) {
  const char* next = static_cast<const char*>(bytes);
  while (count > 0) {
    const ssize_t written = ::write(descriptor_, next, count);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail("cannot be written");
    next += written;
    count -= static_cast<size_t>(written);
  }
}

void AtomicFile::commit() {
  if (fsync(descriptor_) != 0) fail("cannot be made durable");
  if (rename(part_.c_str(), path_.c_str()) != 0) fail("cannot be renamed");
  close(descriptor_);
  descriptor_ = -1;
  const std::string folder = std::filesystem::path(path_).parent_path().string();
  if (const int code = sync_folder(folder.empty() ? "." : folder); code != 0) {
    fail_with(str(path_, ": is written, but its folder cannot be made durable: ", std::strerror(code),
                  "; check the disk"));
  }
}

void write_whole(const std::string& path, std::string_view text, const std::string& operation,
                 Thrower thrower) {
  AtomicFile file(path, operation, thrower);
  file.write(text.data(), text.size());
  file.commit();
}

int sync_folder(const std::string& folder) noexcept {
  const int descriptor = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return 0;
  int code = fsync(descriptor) == 0 ? 0 : errno;
  if (code == EINVAL || code == ENOTSUP || code == ENOSYS) code = 0;  // the file system has no such thing
  close(descriptor);
  return code;
}

ReadableFile::ReadableFile(const std::string& path, std::string operation, Thrower thrower)
    : path_(path), operation_(std::move(operation)), thrower_(thrower) {
  // O_NONBLOCK: opening a pipe must not wait for a writer.
  descriptor_ = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor_ < 0) fail(str("cannot be opened: ", std::strerror(errno)));
  struct stat status {};
  if (fstat(descriptor_, &status) != 0 || !S_ISREG(status.st_mode)) {
    close(descriptor_);
    fail("is not a regular file, expected a file");
  }
  size_ = static_cast<uint64_t>(status.st_size);
}

ReadableFile::~ReadableFile() {
  close(descriptor_);
}

void ReadableFile::fail(const std::string& problem) const {
  const std::string message = str(operation_, ": ", path_, ": ", problem);
  thrower_(message);
  throw CheckpointError(message);  // what a thrower never comes to
}

void ReadableFile::read(uint64_t offset, void* destination, size_t count) const {
  char* next = static_cast<char*>(destination);
  while (count > 0) {
    const ssize_t done = pread(descriptor_, next, count, static_cast<off_t>(offset));
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) fail(str("offset ", offset, ": ", std::strerror(errno)));
    if (done == 0) fail(str("offset ", offset, ": the file ends, ", count, " bytes more were wanted"));
    next += done;
    offset += static_cast<uint64_t>(done);
    count -= static_cast<size_t>(done);
  }
}

}  // namespace fovea
