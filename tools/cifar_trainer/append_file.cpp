#include "append_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "fovea/core/check.h"

namespace fovea::cli {

AppendFile::AppendFile(const std::string& path)
    : path_(path), descriptor_(open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666)) {
  check(descriptor_ >= 0, "run: ", path_, " cannot be opened: ", std::strerror(errno));
}

AppendFile::~AppendFile() {
  close(descriptor_);
}

void AppendFile::append(std::string_view bytes) {
  is_durable_ = false;
  while (!bytes.empty()) {
    const ssize_t written = write(descriptor_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    check(written > 0, "run: ", path_, " cannot be written: ", std::strerror(errno));
    bytes.remove_prefix(static_cast<size_t>(written));
  }
}

void AppendFile::make_durable() {
  if (is_durable_) return;
  const bool is_durable = fdatasync(descriptor_) == 0;  // before errno is read
  check(is_durable, "run: ", path_, " cannot be made durable: ", std::strerror(errno));
  is_durable_ = true;
}

}  // namespace fovea::cli
