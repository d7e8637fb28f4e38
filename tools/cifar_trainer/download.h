#pragma once

#include <cstdint>
#include <cstdio>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "fovea/core/check.h"

namespace fovea {

/// The file that a download grows in cannot be written.
struct DiskError : DataError {
  using DataError::DataError;
};

/// Another process has it.
struct InUse : Error {
  using Error::Error;
};

/// The file that a download grows in, which outlives it: the next one goes on from there. Only one process
/// at a time has it. What was empty at the end goes away.
class PartFile {
 public:
  /// A link, a file with a second name, a pipe or a device that stands there is removed first: what is
  /// downloaded goes into no file of another name. DiskError if it cannot be written, InUse if another
  /// process has it.
  explicit PartFile(const std::filesystem::path& path);
  ~PartFile();
  PartFile(const PartFile&) = delete;
  PartFile& operator=(const PartFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  int64_t size() const { return size_; }

  /// DiskError if they cannot be written, as in clear.
  void append(const char* bytes, size_t count);
  bool flush() { return std::fflush(file_.get()) == 0; }
  void clear();
  /// The end of it: it has been used, or is of no use.
  void remove();

 private:
  bool open_once();
  [[noreturn]] void fail(const char* action) const;

  std::filesystem::path path_;
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file_;
  int64_t size_ = 0;
};

/// Bytes a second over the last ten seconds.
class TransferRate {
 public:
  /// At a time in seconds, which never goes back, `bytes` are here.
  void add(double seconds, int64_t bytes);
  /// 0 before two different times.
  double bytes_per_second() const;
  /// Seconds between the first and the last time that count.
  double span() const;

 private:
  struct Sample {
    double seconds;
    int64_t bytes;
  };
  std::deque<Sample> samples_;
};

/// One HTTP request, for all of a file that is not here.
struct Transfer {
  std::string url;
  int64_t bytes = 0;      // the file's size; 0: not known
  int64_t max_bytes = 0;  // where it is not known
  std::string start;      // its first bytes: what begins otherwise is another file
  /// Called about once a second or more often, with the bytes that are here; false ends the transfer.
  std::function<bool(int64_t done)> go_on;
};

/// Brings `part` to the file's end. False if go_on ended it. DataError, with what stood in the way, if the
/// server or the network fails, nothing comes for half a minute, or the server has a file of another size;
/// DiskError if `part` cannot be written. What go_on throws is passed on.
bool transfer(const Transfer& wanted, PartFile& part);

}  // namespace fovea
