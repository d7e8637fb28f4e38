#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace fovea::cli {

/// What is directly in a folder: paths, in byte order. A link counts as what it leads to.
struct FolderContents {
  std::vector<std::string> images;      // by the end of their name, or their first bytes
  std::vector<std::string> folders;     // others than hidden ones
  std::vector<std::string> others;      // files and what else there is
  std::vector<std::string> unreadable;  // links to nothing, and what may not be read
  int64_t hidden = 0;                   // whose names begin with a point; they are not looked at
};

/// DataError, which begins with `operation`, for a folder that cannot be listed. A file with an image's name
/// is an image even if it is a pipe or a link to nothing: that is an error of who reads it.
FolderContents list_folder(const std::string& operation, const std::string& folder);

/// "2 other files, 1 file that cannot be read and 1 folder"; "" where there are images alone.
std::string others_text(const FolderContents& contents);

}  // namespace fovea::cli
