#include "image_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <fstream>

#include "fovea/core/check.h"
#include "image_file.h"

namespace fovea::cli {
namespace {

namespace fs = std::filesystem;

bool has_name_of_image(const fs::path& path) {
  std::string extension = path.extension().string();
  for (char& c : extension) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return extension == ".png" || extension == ".jpg" || extension == ".jpeg";
}

// The list that a path belongs into.
std::vector<std::string>& list_for(const fs::path& path, FolderContents& contents) {
  std::error_code ignored;
  const fs::file_status status = fs::status(path, ignored);
  if (fs::is_directory(status)) return contents.folders;
  if (has_name_of_image(path)) return contents.images;
  if (!fs::status_known(status) || !fs::exists(status)) return contents.unreadable;
  if (!fs::is_regular_file(status)) return contents.others;  // not opened: a pipe would wait for its writer
  std::array<char, kImageBegin> begin{};
  std::ifstream file(path, std::ios::binary);
  file.read(begin.data(), begin.size());
  if (file.gcount() == 0 && !file.eof()) return contents.unreadable;
  const auto bytes = std::as_bytes(std::span(begin).first(static_cast<size_t>(file.gcount())));
  return is_image(bytes) ? contents.images : contents.others;
}

}  // namespace

FolderContents list_folder(const std::string& operation, const std::string& folder) {
  FolderContents contents;
  std::error_code failure;
  for (fs::directory_iterator entry(folder, failure), end; !failure && entry != end;
       entry.increment(failure)) {
    const fs::path& path = entry->path();
    if (path.filename().string().starts_with(".")) {
      ++contents.hidden;
    } else {
      list_for(path, contents).push_back(path.string());
    }
  }
  check<DataError>(!failure, operation, ": ", folder, ": cannot list the folder: ", failure.message());
  for (auto* list : {&contents.images, &contents.folders, &contents.others, &contents.unreadable})
    std::sort(list->begin(), list->end());
  return contents;
}

std::string others_text(const FolderContents& contents) {
  std::vector<std::string> parts;
  const auto add = [&](const std::vector<std::string>& list, const char* one, const char* many) {
    if (!list.empty()) parts.push_back(fmt::format("{} {}", list.size(), list.size() == 1 ? one : many));
  };
  add(contents.others, "other file", "other files");
  add(contents.unreadable, "file that cannot be read", "files that cannot be read");
  add(contents.folders, "folder", "folders");
  std::string text;
  for (size_t i = 0; i < parts.size(); ++i)
    text += (i == 0 ? "" : i + 1 == parts.size() ? " and " : ", ") + parts[i];
  return text;
}

}  // namespace fovea::cli
