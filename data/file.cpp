#include "fovea/data/file.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "fovea/core/check.h"

namespace fovea {

std::vector<std::byte> read_file(const std::string& operation, const std::string& path, size_t max_bytes,
                                 const std::string& advice) {
  std::error_code failure;
  const std::filesystem::file_status status = std::filesystem::status(path, failure);
  check<DataError>(status.type() != std::filesystem::file_type::not_found, operation, ": ", path,
                   ": no such file; ", advice);
  check<DataError>(!failure, operation, ": ", path, ": ", failure.message(), "; ", advice);
  check<DataError>(std::filesystem::is_regular_file(status), operation, ": ", path,
                   ": found something that is not a file, expected a file; ", advice);

  errno = 0;
  std::ifstream in(path, std::ios::binary | std::ios::ate);
  check<DataError>(in.is_open(), operation, ": ", path, ": cannot be opened: ", std::strerror(errno), "; ",
                   advice);
  const std::streamoff size = in.tellg();
  check<DataError>(size >= 0, operation, ": ", path, ": its size cannot be read; ", advice);
  check<DataError>(static_cast<size_t>(size) <= max_bytes, operation, ": ", path, ": at byte offset ",
                   max_bytes, ": expected the end of the file (at most ", max_bytes, " bytes), found ", size,
                   " bytes; ", advice);
  std::vector<std::byte> bytes(static_cast<size_t>(size));
  in.seekg(0);
  in.read(reinterpret_cast<char*>(bytes.data()), size);
  check<DataError>(in.gcount() == size, operation, ": ", path, ": at byte offset ", in.gcount(),
                   ": reading failed, expected ", size, " bytes; ", advice);
  return bytes;
}

}  // namespace fovea
