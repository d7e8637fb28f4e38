#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace fovea {

/// A file to take out of an archive.
struct ArchiveMember {
  std::string path;  // in the archive
  std::string name;  // in the folder it is written to
  int64_t min_bytes = 0, max_bytes = 0;
};

/// Writes `members` of a gzipped tar archive into `folder`, and nothing else: other entries and links are
/// passed over. DataError names the byte offset in the unzipped archive if that is
/// damaged, or a member is missing, doubled or of another size. `should_stop` is polled throughout.
void unpack_tar_gz(const std::string& archive, const std::vector<ArchiveMember>& members,
                   const std::string& folder, const std::function<bool()>& should_stop);

}  // namespace fovea
