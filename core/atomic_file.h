#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace fovea {

/// Writes a file whole or not at all: into `path`.part, which `commit` makes durable and renames to `path`.
/// Without a commit the destructor removes it, and `path` is as it was. Every failure is a CheckpointError;
/// another writer of the same path that is at work is one, too.
class AtomicFile {
 public:
  explicit AtomicFile(const std::string& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(const void* bytes, size_t count);
  /// fsync, rename, fsync of the folder.
  void commit();

 private:
  [[noreturn]] void fail(const char* action) const;

  std::string path_, part_;
  int descriptor_ = -1;
};

/// Writes a file of a text, whole or not at all.
void write_whole(const std::string& path, std::string_view text);

/// A regular file that is read in pieces. CheckpointError if it is none or cannot be read.
class ReadableFile {
 public:
  explicit ReadableFile(const std::string& path);
  ~ReadableFile();
  ReadableFile(const ReadableFile&) = delete;
  ReadableFile& operator=(const ReadableFile&) = delete;

  uint64_t size() const { return size_; }
  void read(uint64_t offset, void* destination, size_t count) const;

 private:
  std::string path_;
  int descriptor_ = -1;
  uint64_t size_ = 0;
};

}  // namespace fovea
