#include "fovea/data/file.h"

#include <algorithm>
#include <system_error>

#include "fovea/core/atomic_file.h"
#include "fovea/core/check.h"

namespace fovea {

std::vector<std::byte> read_file(const std::string& operation, const std::string& path, size_t max_bytes,
                                 const std::string& advice) {
  std::error_code failure;
  if (!std::filesystem::exists(path, failure) && !failure) {
    const bool is_link = std::filesystem::is_symlink(std::filesystem::symlink_status(path, failure));
    throw DataError(str(operation, ": ", path,
                        is_link ? ": a link to a file that is not there; " : ": no such file; ", advice));
  }
  try {
    // Opened first and looked at then: nothing can be put in its place in between.
    const ReadableFile file(path, operation, throw_as<DataError>);
    check<DataError>(file.size() <= max_bytes, operation, ": ", path, ": at byte offset ", max_bytes,
                     ": expected the end of the file (at most ", max_bytes, " bytes), found ", file.size(),
                     " bytes");
    std::vector<std::byte> bytes(static_cast<size_t>(file.size()));
    file.read(0, bytes.data(), bytes.size());
    return bytes;
  } catch (const DataError& error) {
    throw DataError(str(error.what(), "; ", advice));
  }
}

bool holds_any(const std::filesystem::path& folder, const std::vector<std::string>& files) {
  std::error_code ignored;
  return std::any_of(files.begin(), files.end(), [&](const std::string& file) {
    const std::filesystem::file_status status = std::filesystem::status(folder / file, ignored);
    return exists(status) && !is_directory(status);
  });
}

}  // namespace fovea
