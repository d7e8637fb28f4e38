#include "unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <set>

#include "fovea/core/atomic_file.h"
#include "fovea/core/check.h"

namespace fovea {
namespace {

constexpr const char* kAdvice = "fetch it again";
constexpr size_t kReadBytes = 1 << 17;

/// A file that is open for reading. A pipe or a device, which might never end, is refused.
class OpenFile {
 public:
  explicit OpenFile(const std::string& path)
      : descriptor_(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
    check<DataError>(descriptor_ >= 0, "unpack: ", path, ": cannot be opened: ", std::strerror(errno));
    struct stat status {};
    if (fstat(descriptor_, &status) == 0 && S_ISREG(status.st_mode)) return;
    close(descriptor_);
    throw DataError("unpack: " + path + ": cannot be opened: expected a file, found a pipe or a device");
  }
  ~OpenFile() { close(descriptor_); }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;

  int descriptor() const { return descriptor_; }

 private:
  int descriptor_;
};

/// An archive of one file after the other, read by libarchive.
class ArchiveReader {
 public:
  /// `max_bytes`: how much it may inflate to.
  ArchiveReader(const std::string& path, int64_t max_bytes, const std::function<bool()>& should_stop)
      : path_(path),
        max_bytes_(max_bytes),
        should_stop_(should_stop),
        file_(path),
        archive_(archive_read_new(), &archive_read_free) {
    check<OutOfMemory>(archive_ != nullptr, "unpack: ", path, ": no memory to read it");
    archive_read_support_filter_gzip(archive_.get());
    archive_read_support_format_tar(archive_.get());
    check_status(archive_read_open_fd(archive_.get(), file_.descriptor(), kReadBytes));
  }

  /// The next entry, valid until the one after it; null at the end.
  archive_entry* next() {
    archive_entry* entry = nullptr;
    const int status = archive_read_next_header(archive_.get(), &entry);
    // A warning is about what is not looked at here, such as a name that the locale cannot show.
    if (status != ARCHIVE_WARN) check_status(status);
    return status == ARCHIVE_EOF ? nullptr : entry;
  }

  /// Hands the bytes of the entry to `take` in order, some at a time; `name` is for messages.
  template <class Take>
  void read(const std::string& name, const Take& take) {
    int64_t taken = 0;
    for (;;) {
      const void* bytes = nullptr;
      size_t size = 0;
      int64_t offset = 0;
      const int status = archive_read_data_block(archive_.get(), &bytes, &size, &offset);
      check_status(status, name + ": ");
      if (status == ARCHIVE_EOF) return;
      check_file(offset == taken, name, ": expected its bytes without holes, found one at ", taken);
      take(static_cast<const char*>(bytes), size);
      taken += static_cast<int64_t>(size);
    }
  }

  template <class... Parts>
  void check_file(bool condition, const Parts&... parts) const {
    check<DataError>(condition, "unpack: ", path_, ": at byte offset ",
                     archive_filter_bytes(archive_.get(), 0), " of the unzipped archive: ", parts..., "; ",
                     kAdvice);
  }

 private:
  void check_status(int status, const std::string& where = "") const {
    check<DataError>(!should_stop_ || !should_stop_(), "unpack: ", path_,
                     ": stopped; the next fetch goes on from here");
    const char* reason = archive_error_string(archive_.get());
    check_file(status == ARCHIVE_OK || status == ARCHIVE_EOF, where, reason == nullptr ? "damaged" : reason);
    check_file(archive_filter_bytes(archive_.get(), 0) <= max_bytes_, "expected at most ", max_bytes_,
               " bytes when unzipped, found more");
  }

  std::string path_;
  int64_t max_bytes_;
  const std::function<bool()>& should_stop_;
  OpenFile file_;
  std::unique_ptr<archive, int (*)(archive*)> archive_;
};

/// Without "./" at its front; "" where it is not known, as where the locale cannot show it.
std::string path_of(archive_entry* entry) {
  const char* name = archive_entry_pathname(entry);
  if (name == nullptr) return "";
  return std::string(name).starts_with("./") ? name + 2 : name;
}

/// Not so for folders, links and devices.
bool is_file(archive_entry* entry) {
  return archive_entry_filetype(entry) == AE_IFREG && archive_entry_hardlink(entry) == nullptr &&
         archive_entry_size_is_set(entry) != 0;
}

/// How much an archive of `members` may inflate to: room for headers and some files that are not asked for.
int64_t max_unzipped(const std::vector<ArchiveMember>& members) {
  constexpr int64_t kHeader = 512;
  int64_t bytes = int64_t{1} << 20;
  for (const ArchiveMember& member : members) bytes += member.max_bytes + kHeader;
  return bytes;
}

}  // namespace

void unpack_tar_gz(const std::string& archive, const std::vector<ArchiveMember>& members,
                   const std::string& folder, const std::function<bool()>& should_stop) {
  ArchiveReader reader(archive, max_unzipped(members), should_stop);
  std::set<std::string> written;
  while (archive_entry* entry = reader.next()) {
    const std::string path = path_of(entry);
    const auto member = std::find_if(members.begin(), members.end(), [&](const ArchiveMember& m) {
      return m.path == path && is_file(entry);
    });
    if (member == members.end()) {
      reader.read(path, [](const char*, size_t) {});
      continue;
    }
    const int64_t size = archive_entry_size(entry);
    reader.check_file(size >= member->min_bytes && size <= member->max_bytes, path, ": expected ",
                      member->min_bytes, " to ", member->max_bytes, " bytes, found ", size);
    reader.check_file(written.insert(member->name).second, path, ": found a second time");
    AtomicFile out((std::filesystem::path(folder) / member->name).string(), "unpack", throw_as<DataError>);
    int64_t left = size;
    reader.read(path, [&](const char* bytes, size_t count) {
      out.write(bytes, count);
      left -= static_cast<int64_t>(count);
    });
    reader.check_file(left == 0, path, ": the archive ends ", left, " bytes too early");
    out.commit();
  }
  for (const ArchiveMember& member : members) {
    reader.check_file(written.contains(member.name), member.path, ": expected in the archive, not found");
  }
}

}  // namespace fovea
