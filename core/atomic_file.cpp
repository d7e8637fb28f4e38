#include "fovea/core/atomic_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "fovea/core/check.h"

namespace fovea {
namespace {

/// Whether `path` still names the open file: another writer may have renamed it away in the meantime.
bool is_same_file(int descriptor, const std::string& path) {
  struct stat open_file {
  }, named_file{};
  return fstat(descriptor, &open_file) == 0 && stat(path.c_str(), &named_file) == 0 &&
         open_file.st_ino == named_file.st_ino && open_file.st_dev == named_file.st_dev;
}

}  // namespace

AtomicFile::AtomicFile(const std::string& path) : path_(path), part_(path + ".part") {
  while (true) {
    descriptor_ = open(part_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (descriptor_ < 0) fail("cannot be created");
    // The lock keeps two writers apart, and goes with its process; a file system without locks does without.
    if (flock(descriptor_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
      close(descriptor_);
      throw CheckpointError(
          str("save: ", part_, ": another process is writing this file; give it its own folder"));
    }
    if (is_same_file(descriptor_, part_)) break;
    close(descriptor_);
  }
  if (ftruncate(descriptor_, 0) != 0) {
    const int code = errno;
    unlink(part_.c_str());
    close(descriptor_);
    errno = code;
    fail("cannot be emptied");
  }
}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  unlink(part_.c_str());
  close(descriptor_);
}

void AtomicFile::fail(const char* action) const {
  const int code = errno;
  throw CheckpointError(str("save: ", part_, ": ", action, ": ", std::strerror(code), "; ", path_,
                            " is as it was; check the folder, its permissions and the free space"));
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
  // Some file systems cannot fsync a folder; the file is whole all the same.
  const std::string folder = std::filesystem::path(path_).parent_path().string();
  const int folder_descriptor =
      open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder_descriptor < 0) return;
  fsync(folder_descriptor);
  close(folder_descriptor);
}

void write_whole(const std::string& path, std::string_view text) {
  AtomicFile file(path);
  file.write(text.data(), text.size());
  file.commit();
}

ReadableFile::ReadableFile(const std::string& path) : path_(path) {
  // O_NONBLOCK: opening a pipe must not wait for a writer.
  descriptor_ = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  check<CheckpointError>(descriptor_ >= 0, "load: ", path, ": cannot be opened: ", std::strerror(errno));
  struct stat status {};
  if (fstat(descriptor_, &status) != 0 || !S_ISREG(status.st_mode)) {
    close(descriptor_);
    throw CheckpointError(str("load: ", path, ": is not a file"));
  }
  size_ = static_cast<uint64_t>(status.st_size);
}

ReadableFile::~ReadableFile() {
  close(descriptor_);
}

void ReadableFile::read(uint64_t offset, void* destination, size_t count) const {
  char* next = static_cast<char*>(destination);
  while (count > 0) {
    const ssize_t done = pread(descriptor_, next, count, static_cast<off_t>(offset));
    if (done < 0 && errno == EINTR) continue;
    check<CheckpointError>(done >= 0, "load: ", path_, ": offset ", offset, ": ", std::strerror(errno));
    check<CheckpointError>(done > 0, "load: ", path_, ": offset ", offset, ": the file ends, ", count,
                           " bytes more were wanted");
    next += done;
    offset += static_cast<uint64_t>(done);
    count -= static_cast<size_t>(done);
  }
}

}  // namespace fovea
