#pragma once

#include <string>
#include <string_view>

namespace fovea::cli {

/// A file that grows while a run goes on. Error where it cannot be written.
class AppendFile {
 public:
  /// Goes on with what is there.
  explicit AppendFile(const std::string& path);
  ~AppendFile();
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;

  void append(std::string_view bytes);
  /// fdatasync, if there is anything new.
  void make_durable();

 private:
  std::string path_;
  int descriptor_;
  bool is_durable_ = true;
};

}  // namespace fovea::cli
