#include "fetch.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <list>
#include <thread>

#include "digest.h"
#include "download.h"
#include "fovea/core/atomic_file.h"
#include "fovea/core/printable.h"
#include "unpack.h"

namespace fovea {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMaxArchiveBytes = int64_t{1} << 30;  // where the size is not known
// An address that has shown over kTrialSeconds that it is slower is left for the next.
constexpr double kFastBytesPerSecond = 1e6, kTrialSeconds = 8;

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

double seconds_of_system() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

fs::path part_of(const Archive& archive, const fs::path& folder) {
  return folder / (archive.file + ".part");
}

/// An archive, as far as it is here.
struct Download {
  Download(const Archive& archive_, const fs::path& folder)
      : archive(archive_), part(part_of(archive_, folder)) {}
  const Archive& archive;
  PartFile part;
};

/// An address of one of them.
struct Source {
  Download* download;
  std::string url;
  double bytes_per_second = 0;  // that it was seen to have
  std::string failure{};
};

/// The downloads of one call of fetch.
class Fetcher {
 public:
  explicit Fetcher(const FetchRequest& request)
      : request_(request), clock_(request.clock ? request.clock : seconds_of_system), begin_(clock_()) {
    open_parts();
  }

  /// The archive that is here, whole, in the end.
  Download& run() {
    for (Source& source : sources_) {
      if (try_source(source, Patience::until_slow)) return *source.download;
    }
    // None is fast.
    std::stable_sort(sources_.begin(), sources_.end(), [](const Source& a, const Source& b) {
      return a.bytes_per_second > b.bytes_per_second;
    });
    for (Source& source : sources_) {
      if (source.failure.empty() && try_source(source, Patience::to_the_end)) return *source.download;
    }
    throw DataError(failure());
  }

  /// What is no longer needed once one archive is unpacked.
  void remove_parts() {
    for (Download& download : downloads_) download.part.remove();
  }

 private:
  enum class Patience { until_slow, to_the_end };

  void open_parts() {
    for (const Archive& archive : request_.archives) downloads_.emplace_back(archive, request_.folder);
    // What has come already decides which one is taken first.
    downloads_.sort([](const Download& a, const Download& b) { return a.part.size() > b.part.size(); });
    for (Download& download : downloads_) {
      for (const std::string& address : download.archive.addresses) {
        sources_.push_back(
            {&download, address + (address.ends_with('/') ? "" : "/") + download.archive.file});
      }
    }
  }

  /// Why no address brought the archive. Those whose reason was told are not listed again.
  std::string failure() const {
    const auto largest =
        std::max_element(downloads_.begin(), downloads_.end(),
                         [](const Download& a, const Download& b) { return a.part.size() < b.part.size(); });
    std::string text = sources_[0].failure;
    if (sources_.size() > 1) {
      text = str("fetch: none of ", sources_.size(), " addresses has the archive");
      for (const Source& source : sources_) text += request_.tell ? "" : "\n  " + source.failure;
    }
    if (largest->part.size() == 0) return text + "; see to the network or the address, and fetch again";
    return str(text, " (", what_is_here(*largest),
               "); see to the network or the address and fetch again, which goes on from there");
  }

  static std::string what_is_here(const Download& download) {
    return str(download.part.size(), " bytes are in ", download.part.path().string());
  }

  /// Whether the archive is here and whole. Not so if the source is slow, or its failure is kept.
  bool try_source(Source& source, Patience patience) {
    try {
      const bool is_continued = source.download->part.size() > 0;
      if (!download_from(source, patience)) return false;
      std::string digest = digest_of_part(source);
      if (is_continued && digest != source.download->archive.digest) {
        // What was here before may be what is wrong.
        source.download->part.clear();
        if (!download_from(source, patience)) return false;
        digest = digest_of_part(source);
      }
      check_digest(source, digest);
      return true;
    } catch (const DiskError&) {
      throw;  // which another address does not mend
    } catch (const DataError& error) {
      throw_if_stopped(*source.download);
      source.failure = error.what();
      if (request_.tell && sources_.size() > 1) request_.tell(source.failure);
      return false;
    }
  }

  /// False where it is too slow.
  bool download_from(Source& source, Patience patience) {
    PartFile& part = source.download->part;
    const int64_t bytes = source.download->archive.bytes;
    if (bytes > 0 && part.size() > bytes) part.clear();
    if (bytes > 0 && part.size() == bytes) return true;
    TransferRate rate;
    const auto go_on = [&](int64_t done) {
      rate.add(clock_(), done);
      const double per_second = rate.bytes_per_second();
      const bool is_known = per_second > 0 && bytes > 0;
      const double left = is_known ? static_cast<double>(bytes - done) / per_second : -1;
      if (request_.progress) request_.progress({source.url, done, bytes, per_second, left});
      if (request_.should_stop && request_.should_stop()) return false;
      const bool has_shown = rate.span() >= kTrialSeconds;
      if (has_shown) source.bytes_per_second = per_second;
      const bool is_chosen = patience == Patience::to_the_end || per_second >= kFastBytesPerSecond;
      check_time(done, bytes, per_second, has_shown && is_chosen ? left : 0);
      return is_chosen || !has_shown;
    };
    const bool is_whole = transfer({source.url, bytes, kMaxArchiveBytes, /*start=*/"\x1f\x8b", go_on}, part);
    throw_if_stopped(*source.download);
    if (!is_whole && request_.tell) {
      request_.tell(str("fetch: ", source.url, ": ", std::llround(source.bytes_per_second / 1e3),
                        " kB/s, which is slow"));
    }
    check<DataError>(!is_whole || bytes == 0 || part.size() == bytes, "fetch: ", source.url,
                     ": the server ended after ", part.size(), " bytes, expected ", bytes);
    return is_whole;
  }

  void check_time(int64_t done, int64_t bytes, double per_second, double left) const {
    if (request_.max_seconds <= 0) return;
    const double passed = clock_() - begin_;
    if (passed <= request_.max_seconds && left <= request_.max_seconds - passed) return;
    throw TookTooLong(str("fetch: ", done / 1000000, " of ", bytes / 1000000, " MB are here after ",
                          std::llround(passed), " s, at ", std::llround(per_second / 1e3),
                          " kB/s, and no more than ", std::llround(request_.max_seconds),
                          " s were allowed; the next fetch goes on from there"));
  }

  void throw_if_stopped(const Download& download) const {
    if (!request_.should_stop || !request_.should_stop()) return;
    throw DataError(str("fetch: ", download.archive.file, ": stopped; ", what_is_here(download),
                        ", and the next fetch goes on from there"));
  }

  std::string digest_of_part(const Source& source) const {
    const ReadableFile file(source.download->part.path().string(), "fetch", throw_as<DataError>);
    const std::string found = digest_of(file, digest_kind(source.download->archive.digest),
                                        [&] { return request_.should_stop && request_.should_stop(); });
    throw_if_stopped(*source.download);
    return found;
  }

  void check_digest(const Source& source, const std::string& found) const {
    const std::string& wanted = source.download->archive.digest;
    if (found == wanted) return;
    const int64_t bytes = source.download->part.size();
    source.download->part.clear();
    throw DataError(str("fetch: ", source.url, ": the ", digest_name(digest_kind(wanted)), " of its ", bytes,
                        " bytes is ", found, ", expected ", wanted, "; the file has been removed"));
  }

  const FetchRequest& request_;
  std::function<double()> clock_;
  double begin_;
  std::list<Download> downloads_;
  std::vector<Source> sources_;
};

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

/// The folder of an archive that is unpacked already; "" for none.
std::string folder_that_is_here(const FetchRequest& request) {
  for (const Archive& archive : request.archives) {
    const fs::path target = fs::path(request.folder) / archive.folder();
    if (is_complete(target, archive.members())) return target.string();
  }
  return "";
}

std::string fetch_now(const FetchRequest& request) {
  const fs::path folder = request.folder;
  Fetcher fetcher(request);
  if (const std::string here = folder_that_is_here(request); !here.empty()) {
    fetcher.remove_parts();  // of a fetch that was killed in between
    return here;
  }
  Download& download = fetcher.run();
  const fs::path target = folder / download.archive.folder();
  unpack(request, download.part.path(), target, download.archive.members());
  fetcher.remove_parts();
  return target.string();
}

bool has_part(const FetchRequest& request) {
  return std::any_of(request.archives.begin(), request.archives.end(), [&](const Archive& archive) {
    return fs::exists(fs::symlink_status(part_of(archive, request.folder)));
  });
}

}  // namespace

std::string fetch(const FetchRequest& request) try {
  std::string here = folder_that_is_here(request);
  if (!here.empty() && !has_part(request)) return here;
  fs::create_directories(request.folder);
  const auto clock = request.clock ? request.clock : seconds_of_system;
  const double begin = clock();
  bool is_told = false;
  for (;;) {
    try {
      return fetch_now(request);
    } catch (const InUse& error) {
      if (!here.empty()) return here;
      if (request.tell && !is_told) request.tell(str(error.what(), "; waiting for its end"));
      is_told = true;
      check<TookTooLong>(request.max_seconds <= 0 || clock() - begin < request.max_seconds, error.what(),
                         ", and was not done in ", std::llround(request.max_seconds), " s");
      check<DataError>(!request.should_stop || !request.should_stop(),
                       "fetch: stopped while another is at work");
      constexpr auto kPause = std::chrono::milliseconds(100);
      std::this_thread::sleep_for(kPause);
    }
  }
} catch (const fs::filesystem_error& error) {
  throw DataError(
      str("fetch: ", error.what(), "; choose another folder, or make room and see to its permissions"));
}

}  // namespace fovea
