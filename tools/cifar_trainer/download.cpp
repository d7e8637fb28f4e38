#include "download.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <exception>
#include <string_view>

#include "fovea/core/check.h"

namespace fovea {
namespace {

namespace fs = std::filesystem;

constexpr double kRateSeconds = 10;

constexpr const char* kDiskAdvice = "; make room on the disk or see to its permissions, and fetch again";

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

  /// Where the answer says that it begins; -1: it does not say.
  int64_t begin_of_range() {
    curl_header* header = nullptr;
    if (curl_easy_header(curl_.get(), "Content-Range", 0, CURLH_HEADER, -1, &header) != CURLHE_OK) return -1;
    const std::string_view text = header->value;
    constexpr std::string_view kUnit = "bytes ";
    int64_t begin = -1;
    if (text.starts_with(kUnit))
      std::from_chars(text.data() + kUnit.size(), text.data() + text.size(), begin);
    return begin;
  }

  /// Before the first bytes of an answer: where they belong, and whether they can be the file's. A page that
  /// tells of an error, or that one has to log in, is to spoil nothing that is here.
  void begin_answer(std::string_view bytes) {
    constexpr long kPartialContent = 206;
    if (offset_ > 0 && status() != kPartialContent) offset_ = 0;  // the server sends everything
    curl_off_t length = -1;
    curl_easy_getinfo(curl_.get(), CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    const int64_t left = wanted_.bytes - offset_;
    check<DataError>(wanted_.bytes == 0 || length < 0 || length == left, "fetch: ", wanted_.url,
                     ": the server sends ", length,
                     length > left ? " bytes, more than the " : " bytes, fewer than the ", left,
                     " bytes expected: it is another file");
    if (offset_ > 0) {
      const int64_t begin = begin_of_range();
      check<DataError>(begin == offset_, "fetch: ", wanted_.url, ": the server sends from ",
                       begin < 0 ? "a byte that it does not tell" : str("byte ", begin),
                       ", asked for from byte ", offset_, " on");
      return;
    }
    const std::string_view start = std::string_view(wanted_.start).substr(0, bytes.size());
    check<DataError>(bytes.starts_with(start), "fetch: ", wanted_.url,
                     ": what the server sends does not begin as the archive does: it is another file");
    if (part_.size() > 0) part_.clear();
  }

  /// Anything but `count` makes libcurl give up.
  size_t take(const char* bytes, size_t count) {
    try {
      if (!has_begun_) begin_answer({bytes, count});
      has_begun_ = true;
      const int64_t limit = wanted_.bytes > 0 ? wanted_.bytes : wanted_.max_bytes;
      check<DataError>(part_.size() + static_cast<int64_t>(count) <= limit, "fetch: ", wanted_.url,
                       ": the server sends more than the ", limit, " bytes expected");
      part_.append(bytes, count);
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
  constexpr int kAttempts = 100;  // others may create and remove it as well
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    if (open_once()) return;
  }
  errno = EAGAIN;
  fail("is created and removed by others");
}

/// False: what stood there is gone, or was another file when it could be locked.
bool PartFile::open_once() {
  // O_NONBLOCK: opening a pipe must not wait for a reader.
  const int descriptor =
      open(path_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0666);
  if (descriptor < 0 && errno != ELOOP && errno != ENXIO) fail("cannot be written");
  if (descriptor >= 0) file_.reset(fdopen(descriptor, "ab"));
  struct stat own {
  }, named{};
  const bool is_known = descriptor >= 0 && fstat(descriptor, &own) == 0;
  if (is_known && S_ISREG(own.st_mode) && own.st_nlink == 1) {
    // The lock keeps two writers apart, and goes with its process; a file system without locks does without.
    check<InUse>(flock(descriptor, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK, "fetch: ", path_.string(),
                 ": another fetch is at work on it");
    // The one that had it may have removed it in the meantime.
    const bool is_there = fstat(descriptor, &own) == 0 && lstat(path_.c_str(), &named) == 0 &&
                          own.st_dev == named.st_dev && own.st_ino == named.st_ino;
    if (is_there) size_ = own.st_size;
    if (!is_there) file_.reset();
    return is_there;
  }
  file_.reset();
  const bool is_gone = is_known && S_ISREG(own.st_mode) && own.st_nlink == 0;
  if (!is_gone && unlink(path_.c_str()) != 0 && errno != ENOENT) fail("cannot be replaced");
  return false;
}

void PartFile::fail(const char* action) const {
  const int code = errno;
  throw DiskError(str("fetch: ", path_.string(), ": ", action, ": ", std::strerror(code), kDiskAdvice));
}

PartFile::~PartFile() {
  std::error_code ignored;
  if (file_ != nullptr && size_ == 0) fs::remove(path_, ignored);
}

void PartFile::append(const char* bytes, size_t count) {
  if (std::fwrite(bytes, 1, count, file_.get()) != count) fail("writing failed");
  size_ += static_cast<int64_t>(count);
}

void PartFile::clear() {
  if (!flush() || ftruncate(fileno(file_.get()), 0) != 0) fail("cannot be emptied");
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
