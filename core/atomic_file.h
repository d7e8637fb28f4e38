#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "fovea/core/check.h"

namespace fovea {

/// Throws a message as an error of some type: throw_as<DataError>.
using Thrower = void (*)(const std::string& message);
template <class ErrorType>
[[noreturn]] void throw_as(const std::string& message) {
  throw ErrorType(message);
}

/// Writes a file whole or not at all: into `path`.part, a new file whatever stood there under that name,
/// which `commit` makes durable and renames to `path`. Without a commit the destructor removes it, and `path`
/// is as it was. Every failure is thrown by `thrower`, its message beginning with `operation`; another writer
/// of the same path that is at work is one, too.
class AtomicFile {
 public:
  explicit AtomicFile(const std::string& path, std::string operation = "save",
                      Thrower thrower = throw_as<CheckpointError>);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(const void* bytes, size_t count);
  /// fsync, rename, fsync of the folder.
  void commit();

 private:
  void open_part();
  void remove_left_over();
  [[noreturn]] void fail(const char* action) const;
  [[noreturn]] void fail_with(const std::string& message) const;

  std::string path_, part_, operation_;
  Thrower thrower_;
  int descriptor_ = -1;
};

/// Writes a file of a text, whole or not at all.
void write_whole(const std::string& path, std::string_view text, const std::string& operation = "save",
                 Thrower thrower = throw_as<CheckpointError>);

/// fsync of a folder, after which the names in it are durable. Where the file system has no such thing, or
/// the folder may not be read, nothing happens. 0, or the error's number.
int sync_folder(const std::string& folder) noexcept;

/// A regular file that is read in pieces. What is none, such as a pipe or a device, or cannot be read, is
/// thrown by `thrower`, the message beginning with `operation`.
class ReadableFile {
 public:
  explicit ReadableFile(const std::string& path, std::string operation = "checkpoint",
                        Thrower thrower = throw_as<CheckpointError>);
  ~ReadableFile();
  ReadableFile(const ReadableFile&) = delete;
  ReadableFile& operator=(const ReadableFile&) = delete;

  uint64_t size() const { return size_; }
  void read(uint64_t offset, void* destination, size_t count) const;

 private:
  [[noreturn]] void fail(const std::string& problem) const;

  std::string path_, operation_;
  Thrower thrower_;
  int descriptor_ = -1;
  uint64_t size_ = 0;
};

}  // namespace fovea
