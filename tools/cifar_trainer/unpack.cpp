#include "unpack.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <span>

#include "fovea/core/atomic_file.h"
#include "fovea/core/check.h"

namespace fovea {
namespace {

constexpr int64_t kBlock = 512;
constexpr const char* kAdvice = "fetch it again";

using Block = std::array<char, kBlock>;

/// The file, unless it is a pipe or a device, which might never end; null and errno if that fails.
gzFile open_regular(const std::string& path) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) return nullptr;
  struct stat status {};
  const bool is_regular = fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode);
  gzFile file = is_regular ? gzdopen(descriptor, "rb") : nullptr;
  if (file == nullptr) {
    close(descriptor);
    errno = is_regular ? ENOMEM : ENXIO;
  }
  return file;
}

/// Reads a gzipped tar archive block by block.
class TarReader {
 public:
  TarReader(const std::string& path, int64_t max_bytes)
      : path_(path), file_(open_regular(path), &gzclose), max_bytes_(max_bytes) {
    check<DataError>(file_ != nullptr, "unpack: ", path, ": cannot be opened: ", std::strerror(errno));
    gzbuffer(file_.get(), 1 << 17);
  }

  /// Fills `block`; false at the end of the file.
  bool read(Block& block) {
    const int got = gzread(file_.get(), block.data(), static_cast<unsigned>(block.size()));
    int status = Z_OK;
    const char* reason = gzerror(file_.get(), &status);
    check_file(status == Z_OK || status == Z_STREAM_END, "cannot be unzipped: ", reason);
    if (got == 0) return false;
    check_file(got == kBlock, "expected a block of ", kBlock, " bytes, found ", got);
    offset_ += kBlock;
    check_file(offset_ <= max_bytes_, "expected at most ", max_bytes_, " bytes when unzipped, found more");
    return true;
  }

  int64_t max_bytes() const { return max_bytes_; }

  template <class... Parts>
  void check_file(bool condition, const Parts&... parts) const {
    check<DataError>(condition, "unpack: ", path_, ": at byte offset ", offset_,
                     " of the unzipped archive: ", parts..., "; ", kAdvice);
  }

 private:
  std::string path_;
  std::unique_ptr<gzFile_s, int (*)(gzFile)> file_;
  int64_t offset_ = 0, max_bytes_;
};

/// The fields of a tar header that matter here.
struct Entry {
  std::string path;
  int64_t size = 0;
  bool is_file = false;
};

/// A field of text, which ends with the field or at a zero.
std::string text_at(const Block& block, size_t offset, size_t size) {
  const char* begin = block.data() + offset;
  return std::string(begin, std::find(begin, begin + size, '\0'));
}

/// A number in octal digits, between spaces or zeros; -1 for anything else.
int64_t octal_at(const Block& block, size_t offset, size_t size) {
  const std::string text = text_at(block, offset, size);
  const size_t begin = std::min(text.find_first_not_of(' '), text.size());
  const size_t end = std::min(text.find(' ', begin), text.size());
  int64_t number = 0;
  for (size_t i = begin; i < end; ++i) {
    if (text[i] < '0' || text[i] > '7') return -1;
    number = number * 8 + (text[i] - '0');
  }
  return end > begin ? number : -1;
}

Entry parse_header(const TarReader& reader, const Block& block) {
  constexpr size_t kChecksum = 148, kChecksumEnd = 156;
  int64_t sum = 0;
  for (size_t i = 0; i < block.size(); ++i) {
    sum += i >= kChecksum && i < kChecksumEnd ? ' ' : static_cast<unsigned char>(block[i]);
  }
  const int64_t wanted = octal_at(block, kChecksum, kChecksumEnd - kChecksum);
  reader.check_file(sum == wanted, "a header's checksum is ", wanted, ", expected ", sum);

  Entry entry{text_at(block, 0, 100), octal_at(block, 124, 12), block[156] == '0' || block[156] == '\0'};
  reader.check_file(entry.size >= 0 && entry.size <= reader.max_bytes(),
                    "the size of an entry is not an octal number up to ", reader.max_bytes());
  const bool is_posix = text_at(block, 257, 6) == "ustar";  // GNU's variant uses the field otherwise
  if (const std::string prefix = text_at(block, 345, 155); is_posix && !prefix.empty()) {
    entry.path = prefix + "/" + entry.path;
  }
  if (entry.path.starts_with("./")) entry.path.erase(0, 2);
  return entry;
}

/// How much an archive of `members` may inflate to: room for headers and some files that are not asked for.
int64_t max_unzipped(const std::vector<ArchiveMember>& members) {
  int64_t bytes = int64_t{1} << 20;
  for (const ArchiveMember& member : members) bytes += member.max_bytes + kBlock;
  return bytes;
}

bool is_zero(const Block& block) {
  return std::all_of(block.begin(), block.end(), [](char c) { return c == '\0'; });
}

}  // namespace

void unpack_tar_gz(const std::string& archive, const std::vector<ArchiveMember>& members,
                   const std::string& folder, const std::function<bool()>& should_stop) {
  TarReader reader(archive, max_unzipped(members));
  std::set<std::string> written;
  constexpr size_t kWriteBytes = 1 << 17;
  std::string unwritten;
  Block block;
  while (reader.read(block) && !is_zero(block)) {
    const Entry entry = parse_header(reader, block);
    const auto member = std::find_if(members.begin(), members.end(), [&](const ArchiveMember& m) {
      return m.path == entry.path && entry.is_file;
    });
    std::optional<AtomicFile> out;
    if (member != members.end()) {
      reader.check_file(entry.size >= member->min_bytes && entry.size <= member->max_bytes, entry.path,
                        ": expected ", member->min_bytes, " to ", member->max_bytes, " bytes, found ",
                        entry.size);
      reader.check_file(written.insert(member->name).second, entry.path, ": found a second time");
      out.emplace((std::filesystem::path(folder) / member->name).string(), "unpack", throw_as<DataError>);
    }
    for (int64_t left = entry.size; left > 0; left -= kBlock) {
      check<DataError>(!should_stop || !should_stop(), "unpack: ", archive,
                       ": stopped; the next fetch goes on from here");
      reader.check_file(reader.read(block), entry.path, ": the archive ends ", left, " bytes too early");
      if (!out) continue;
      unwritten.append(block.data(), static_cast<size_t>(std::min(left, kBlock)));
      if (left > kBlock && unwritten.size() < kWriteBytes) continue;
      out->write(unwritten.data(), unwritten.size());
      unwritten.clear();
    }
    if (out) out->commit();
  }
  for (const ArchiveMember& member : members) {
    reader.check_file(written.contains(member.name), member.path, ": expected in the archive, not found");
  }
}

}  // namespace fovea
