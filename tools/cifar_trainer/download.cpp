#include "download.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <exception>

#include "fovea/core/check.h"

namespace fovea {
namespace {

namespace fs = std::filesystem;

constexpr double kRateSeconds = 10;

/// Opens the file that a download grows in for appending; -1 and errno if that fails.
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

/// The request, and what libcurl calls while it runs.
class Request {
 public:
  Request(const Transfer& wanted, PartFile& part) : wanted_(wanted), part_(part), offset_(part.size()) {
    static const CURLcode ready = curl_global_init(CURL_GLOBAL_DEFAULT);
    check<DataError>(ready == CURLE_OK && curl_ != nullptr, "fetch: libcurl cannot be started");
  }

  bool run() {
    CURL* curl = curl_.get();
    const std::string range = std::to_string(offset_) + "-";
    curl_easy_setopt(curl, CURLOPT_URL, wanted_.url.c_str());
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(curl, CURLOPT_MAXREDIRS, 5L);
    curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, 15L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1000L);  // bytes a second
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, 30L);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, reason_.data());
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, &Request::on_bytes);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, this);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, &Request::on_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, this);
    if (offset_ > 0) curl_easy_setopt(curl, CURLOPT_RANGE, range.c_str());
    const CURLcode result = curl_easy_perform(curl);
    const bool is_written = part_.flush();

    constexpr long kRangeNotSatisfiable = 416;  // there is nothing after what is here: it is complete
    if (result == CURLE_HTTP_RETURNED_ERROR && status() == kRangeNotSatisfiable && offset_ > 0) return true;
    if (failure_ != nullptr) std::rethrow_exception(failure_);
    check<DiskError>(is_written, "fetch: ", part_.path().string(), ": writing failed: ", std::strerror(errno),
                     "; make room on the disk and fetch again");
    if (result == CURLE_ABORTED_BY_CALLBACK) return false;
    check<DataError>(result == CURLE_OK, "fetch: ", wanted_.url, ": ",
                     reason_[0] != '\0' ? reason_.data() : curl_easy_strerror(result));
    return true;
  }

 private:
  static size_t on_bytes(char* bytes, size_t, size_t count, void* self) {
    return static_cast<Request*>(self)->take(bytes, count);
  }
  static int on_progress(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    return static_cast<Request*>(self)->go_on() ? 0 : 1;
  }

  /// No exception may pass through libcurl.
  bool go_on() {
    try {
      return wanted_.go_on(part_.size());
    } catch (...) {
      failure_ = std::current_exception();
      return false;
    }
  }

  long status() {
    long code = 0;
    curl_easy_getinfo(curl_.get(), CURLINFO_RESPONSE_CODE, &code);
    return code;
  }

  /// Before the first bytes of an answer: where they belong, and whether they can be the file's.
  void begin_answer() {
    constexpr long kPartialContent = 206;
    if (offset_ > 0 && status() != kPartialContent) offset_ = 0;  // the server sends everything
    curl_off_t length = -1;
    curl_easy_getinfo(curl_.get(), CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    // A page that tells of an error, or that one has to log in, is to spoil nothing that is here.
    check<DataError>(wanted_.bytes == 0 || length < 0 || offset_ + length == wanted_.bytes,
                     "fetch: ", wanted_.url, ": the server has ", offset_ + length,
                     offset_ + length > wanted_.bytes ? " bytes, more than the " : " bytes, fewer than the ",
                     wanted_.bytes, " bytes expected: it is another file");
    if (offset_ < part_.size()) part_.clear();
  }

  /// Anything but `count` makes libcurl give up.
  size_t take(const char* bytes, size_t count) {
    try {
      if (!has_begun_) begin_answer();
      has_begun_ = true;
      const int64_t limit = wanted_.bytes > 0 ? wanted_.bytes : wanted_.max_bytes;
      check<DataError>(part_.size() + static_cast<int64_t>(count) <= limit, "fetch: ", wanted_.url,
                       ": the server sends more than the ", limit, " bytes expected");
      check<DiskError>(part_.append(bytes, count), "fetch: ", part_.path().string(),
                       ": writing failed: ", std::strerror(errno), "; make room on the disk and fetch again");
      return count;
    } catch (...) {
      failure_ = std::current_exception();
      return 0;
    }
  }

  const Transfer& wanted_;
  PartFile& part_;
  int64_t offset_;  // where in the file the answer begins
  bool has_begun_ = false;
  std::exception_ptr failure_;
  std::array<char, CURL_ERROR_SIZE> reason_{};
  std::unique_ptr<CURL, void (*)(CURL*)> curl_{curl_easy_init(), &curl_easy_cleanup};
};

}  // namespace

PartFile::PartFile(const fs::path& path) : path_(path), file_(nullptr, &std::fclose) {
  const int descriptor = open_part(path);
  if (descriptor >= 0) file_.reset(fdopen(descriptor, "ab"));
  check<DiskError>(file_ != nullptr, "fetch: ", path.string(), ": cannot be written: ", std::strerror(errno));
  check<DataError>(flock(fileno(file_.get()), LOCK_EX | LOCK_NB) == 0, "fetch: ", path.string(),
                   ": another fetch is at work on it; wait for its end");
  size_ = static_cast<int64_t>(fs::file_size(path));
}

PartFile::~PartFile() {
  std::error_code ignored;
  if (file_ != nullptr && size_ == 0) fs::remove(path_, ignored);
}

bool PartFile::append(const char* bytes, size_t count) {
  if (std::fwrite(bytes, 1, count, file_.get()) != count) return false;
  size_ += static_cast<int64_t>(count);
  return true;
}

void PartFile::clear() {
  check<DiskError>(flush() && ftruncate(fileno(file_.get()), 0) == 0, "fetch: ", path_.string(),
                   ": cannot be emptied: ", std::strerror(errno));
  size_ = 0;
}

void PartFile::remove() {
  fs::remove(path_);
  file_.reset();
}

void TransferRate::add(double seconds, int64_t bytes) {
  samples_.push_back({seconds, bytes});
  while (samples_.size() > 2 && samples_[1].seconds <= seconds - kRateSeconds) samples_.pop_front();
}

double TransferRate::bytes_per_second() const {
  const double seconds = span();
  if (seconds <= 0) return 0;
  return static_cast<double>(samples_.back().bytes - samples_.front().bytes) / seconds;
}

double TransferRate::span() const {
  return samples_.empty() ? 0 : samples_.back().seconds - samples_.front().seconds;
}

bool transfer(const Transfer& wanted, PartFile& part) {
  return Request(wanted, part).run();
}

}  // namespace fovea
