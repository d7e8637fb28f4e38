#include "fetch.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>

#include "fovea/core/atomic_file.h"
#include "fovea/core/check.h"
#include "fovea/core/printable.h"
#include "sha256.h"
#include "unpack.h"

namespace fovea {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMaxArchiveBytes = int64_t{1} << 30;  // where the size is not known
constexpr int64_t kMaxNamesBytes = 1 << 16;

bool stopped(const FetchRequest& request) {
  return request.should_stop && request.should_stop();
}

std::vector<ArchiveMember> members_of(const CifarFormat& format) {
  std::vector<ArchiveMember> members;
  const auto add = [&](const std::string& name, int64_t min_bytes, int64_t max_bytes) {
    members.push_back({format.folder + "/" + name, name, min_bytes, max_bytes});
  };
  const int64_t row_bytes = format.label_bytes + 3 * 32 * 32;
  const int64_t train_bytes = format.train_rows * row_bytes, test_bytes = format.test_rows * row_bytes;
  for (const std::string& name : format.train_files) add(name, train_bytes, train_bytes);
  for (const std::string& name : format.test_files) add(name, test_bytes, test_bytes);
  add(format.names_file, 1, kMaxNamesBytes);
  return members;
}

bool is_complete(const fs::path& folder, const std::vector<ArchiveMember>& members) {
  for (const ArchiveMember& member : members) {
    std::error_code failure;
    const auto size = fs::file_size(folder / member.name, failure);
    if (failure || size < static_cast<uintmax_t>(member.min_bytes) ||
        size > static_cast<uintmax_t>(member.max_bytes)) {
      return false;
    }
  }
  return true;
}

/// Opens the file that a download grows in for appending; -1 and errno if that fails. A link, a file with a
/// second name, a pipe or a device that stands there is removed first: what is downloaded goes into no file
/// of another name.
int open_part(const fs::path& path) {
  constexpr int kAttempts = 100;  // others may create and remove it as well
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    // O_NONBLOCK: opening a pipe must not wait for a reader.
    const int descriptor =
        open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0666);
    if (descriptor < 0 && errno != ELOOP && errno != ENXIO) return -1;
    struct stat status {};
    if (descriptor >= 0 && fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode) && status.st_nlink == 1)
      return descriptor;
    if (descriptor >= 0) close(descriptor);
    if (unlink(path.c_str()) != 0 && errno != ENOENT) return -1;
  }
  errno = EAGAIN;
  return -1;
}

/// The file that a download grows in. Only one process at a time has it.
class PartFile {
 public:
  explicit PartFile(const fs::path& path) : path_(path), file_(nullptr, &std::fclose) {
    const int descriptor = open_part(path);
    if (descriptor >= 0) file_.reset(fdopen(descriptor, "ab"));
    check<DataError>(file_ != nullptr, "fetch: ", path.string(),
                     ": cannot be written: ", std::strerror(errno));
    check<DataError>(flock(fileno(file_.get()), LOCK_EX | LOCK_NB) == 0, "fetch: ", path.string(),
                     ": another fetch is at work on it; wait for its end");
    size_ = static_cast<int64_t>(fs::file_size(path));
  }

  const fs::path& path() const { return path_; }
  int64_t size() const { return size_; }

  bool append(const char* bytes, size_t count) {
    if (std::fwrite(bytes, 1, count, file_.get()) != count) return false;
    size_ += static_cast<int64_t>(count);
    return true;
  }
  bool flush() { return std::fflush(file_.get()) == 0; }
  void clear() {
    check<DataError>(flush() && ftruncate(fileno(file_.get()), 0) == 0, "fetch: ", path_.string(),
                     ": cannot be emptied: ", std::strerror(errno));
    size_ = 0;
  }
  void remove() { fs::remove(path_); }

 private:
  fs::path path_;
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file_;
  int64_t size_ = 0;
};

/// One HTTP request whose answer goes to the end of a part file.
class Download {
 public:
  Download(const FetchRequest& request, PartFile& part)
      : request_(request), part_(part), offset_(part.size()) {
    static const CURLcode ready = curl_global_init(CURL_GLOBAL_DEFAULT);
    check<DataError>(ready == CURLE_OK && curl_ != nullptr, "fetch: libcurl cannot be started");
    const std::string& base = request.base_url;
    url_ = base + (base.ends_with('/') ? "" : "/") + request.archive.file;
    limit_ = request.archive.bytes > 0 ? request.archive.bytes : kMaxArchiveBytes;
  }

  /// Returns when all that the server has is in the file. DataError says what stood in the way.
  void run() {
    CURL* curl = curl_.get();
    const std::string range = std::to_string(offset_) + "-";
    curl_easy_setopt(curl, CURLOPT_URL, url_.c_str());
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(curl, CURLOPT_MAXREDIRS, 5L);
    curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, 30L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, 60L);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, reason_.data());
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, &Download::on_bytes);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, this);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, &Download::on_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, this);
    if (offset_ > 0) curl_easy_setopt(curl, CURLOPT_RANGE, range.c_str());
    const CURLcode result = curl_easy_perform(curl);
    const bool is_written = part_.flush();

    constexpr long kRangeNotSatisfiable = 416;  // there is nothing after what is here: it is complete
    if (result == CURLE_HTTP_RETURNED_ERROR && status() == kRangeNotSatisfiable && offset_ > 0) return;
    check<DataError>(is_written && failure_.empty(), "fetch: ", url_, ": ",
                     failure_.empty() ? std::strerror(errno) : failure_);
    check<DataError>(result != CURLE_ABORTED_BY_CALLBACK, "fetch: ", url_, ": stopped with ", part_.size(),
                     " bytes in ", part_.path().string(), "; the next fetch goes on from there");
    check<DataError>(result == CURLE_OK, "fetch: ", url_, ": ",
                     reason_[0] != '\0' ? reason_.data() : curl_easy_strerror(result), " (", part_.size(),
                     " bytes are in ", part_.path().string(),
                     "); see to the network or the address and fetch again, which goes on from there");
  }

 private:
  static size_t on_bytes(char* bytes, size_t, size_t count, void* self) {
    return static_cast<Download*>(self)->take(bytes, count);
  }
  static int on_progress(void* self, curl_off_t total, curl_off_t, curl_off_t, curl_off_t) {
    return static_cast<Download*>(self)->report(total) ? 0 : 1;
  }

  /// Whether to go on. No exception may pass through libcurl.
  bool report(int64_t total) {
    try {
      if (request_.progress) request_.progress(part_.size(), total > 0 ? offset_ + total : 0);
      return !stopped(request_);
    } catch (const std::exception& error) {
      failure_ = error.what();
      return false;
    }
  }

  long status() {
    long code = 0;
    curl_easy_getinfo(curl_.get(), CURLINFO_RESPONSE_CODE, &code);
    return code;
  }

  /// Anything but `count` makes libcurl give up.
  size_t take(const char* bytes, size_t count) {
    try {
      constexpr long kPartialContent = 206;
      if (offset_ > 0 && status() != kPartialContent) {
        part_.clear();  // the server sends everything from the start
        offset_ = 0;
      }
      check<DataError>(part_.size() + static_cast<int64_t>(count) <= limit_,
                       "the server sends more than the ", limit_, " bytes expected");
      check<DataError>(part_.append(bytes, count), part_.path().string(),
                       ": writing failed: ", std::strerror(errno), "; make room on the disk and fetch again");
      return count;
    } catch (const std::exception& error) {
      failure_ = error.what();
      return 0;
    }
  }

  const FetchRequest& request_;
  PartFile& part_;
  int64_t offset_;  // where in the file the answer begins
  int64_t limit_ = 0;
  std::string url_, failure_;
  std::array<char, CURL_ERROR_SIZE> reason_{};
  std::unique_ptr<CURL, void (*)(CURL*)> curl_{curl_easy_init(), &curl_easy_cleanup};
};

/// Brings `part` to its full size and makes sure of its checksum; removes it if that is wrong.
void download(const FetchRequest& request, PartFile& part) {
  const Archive& archive = request.archive;
  if (archive.bytes > 0 && part.size() > archive.bytes) part.clear();
  if (archive.bytes == 0 || part.size() < archive.bytes) Download(request, part).run();
  check<DataError>(archive.bytes == 0 || part.size() == archive.bytes, "fetch: ", archive.file,
                   ": the server ended after ", part.size(), " bytes, expected ", archive.bytes,
                   "; fetch again, which goes on from there");
  const ReadableFile file(part.path().string(), "fetch", throw_as<DataError>);
  const std::string found = sha256_of(file, [&] { return stopped(request); });
  check<DataError>(!found.empty(), "fetch: ", part.path().string(),
                   ": stopped; the next fetch goes on from here");
  if (found == archive.sha256) return;
  part.remove();
  throw DataError(str("fetch: ", archive.file, ": the SHA-256 of its ", part.size(), " bytes is ", found,
                      ", expected ", archive.sha256, "; the file has been removed, fetch again"));
}

/// Unpacks beside `target` and moves the files there once all are whole.
void unpack(const FetchRequest& request, const fs::path& archive, const fs::path& target,
            const std::vector<ArchiveMember>& members) {
  const fs::path temporary = target.string() + ".unpacking";
  fs::remove_all(temporary);
  fs::create_directories(temporary);
  try {
    unpack_tar_gz(archive.string(), members, temporary.string(), request.should_stop);
    if (fs::exists(target)) {
      for (const ArchiveMember& member : members) fs::rename(temporary / member.name, target / member.name);
    } else {
      fs::rename(temporary, target);
    }
    // The files are durable, their names are to be, before the archive goes.
    for (const fs::path& folder : {target, target.parent_path()}) {
      const int code = sync_folder(folder.string());
      check<DataError>(code == 0, "fetch: ", folder.string(),
                       ": cannot be made durable: ", std::strerror(code), "; check the disk and fetch again");
    }
  } catch (...) {
    std::error_code ignored;
    fs::remove_all(temporary, ignored);
    throw;
  }
  fs::remove_all(temporary);
}

}  // namespace

Archive official_archive(const std::string& dataset) {
  if (dataset == "cifar10") {
    return {cifar10_format(), "cifar-10-binary.tar.gz",
            "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd", 170052171};
  }
  check<UsageError>(dataset == "cifar100", "fetch: ", in_quotes(dataset),
                    " cannot be downloaded, wanted cifar10 or cifar100",
                    dataset == "fashion-mnist" ? "; install Debian's package dataset-fashion-mnist" : "");
  return {cifar100_format(), "cifar-100-binary.tar.gz",
          "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec", 0};
}

std::string fetch(const FetchRequest& request) try {
  const std::vector<ArchiveMember> members = members_of(request.archive.format);
  const fs::path folder = request.folder, target = folder / request.archive.format.folder;
  if (is_complete(target, members)) return target.string();
  fs::create_directories(folder);
  PartFile part(folder / (request.archive.file + ".part"));
  download(request, part);
  unpack(request, part.path(), target, members);
  part.remove();
  return target.string();
} catch (const fs::filesystem_error& error) {
  throw DataError(
      str("fetch: ", error.what(), "; choose another folder, or make room and see to its permissions"));
}

}  // namespace fovea
