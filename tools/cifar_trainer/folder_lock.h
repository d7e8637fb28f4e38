#pragma once

#include <filesystem>
#include <vector>

namespace fovea::cli {

/// Keeps other processes out of the folder of a run as long as it lives. A process that is killed leaves no
/// lock behind: the system takes it back. Without a need the folder stays as it was: what was made for the
/// lock goes with it, unless something has come into it.
class FolderLock {
 public:
  /// Makes the folder if there is none. UsageError, which names the process, if another one has it locked.
  explicit FolderLock(const std::filesystem::path& folder);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

  /// Takes away the file of the lock that was made last, if it lives: for a program that ends where nothing
  /// is destroyed. Needs no memory.
  static void remove_file() noexcept;

 private:
  void make_folder(const std::filesystem::path& folder);
  void open_file();
  void remove_empty_folders() const;

  std::filesystem::path file_;
  std::vector<std::filesystem::path> made_;  // folders, the outermost first
  int descriptor_ = -1;
};

}  // namespace fovea::cli
