// A folder a class: which images there are, and in which order.
#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <tuple>

#include <fmt/format.h>

#include "fovea/core/check.h"
#include "fovea/core/printable.h"
#include "image_file.h"
#include "image_folder.h"
#include "output.h"
#include "own_images.h"
#include "signals.h"

namespace fovea::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kOperation = "folder";
constexpr const char* kWanted = "wanted a folder for each class, with PNG or JPEG files in it";
// What a training part is called, and what the others.
constexpr const char *kTrain = "train", *kTest = "test";
constexpr std::array kValidation = {"val", "valid", "validation"};

std::string name_of(const std::string& path) {
  return fs::path(path).filename().string();
}

class Files : public ImageSource {
 public:
  Tensor read(int64_t n) const override { return read_image(file(n), should_stop); }
  std::string file(int64_t n) const override { return paths[static_cast<size_t>(n)]; }

  std::vector<std::string> paths;
};

// A part of a dataset: its images, by class.
struct Part {
  std::string path;
  std::vector<std::string> class_names;
  ImageList images;
};

// Folders that unpacking leaves beside what was packed.
void leave_out_strangers(std::vector<std::string>& folders) {
  std::erase_if(folders, [](const std::string& path) {
    const std::string name = name_of(path);
    return name == "__MACOSX" || name == "@eaDir" || name == "lost+found";
  });
}

FolderContents list_part(const std::string& folder) {
  FolderContents contents = list_folder(kOperation, folder);
  leave_out_strangers(contents.folders);
  return contents;
}

void check_class_name(const std::string& path, const std::string& name) {
  const bool is_clean = printable(name) == name && name.find_first_of("\n\t") == std::string::npos;
  check<DataError>(is_clean, kOperation, ": ", fs::path(path).parent_path().string(), ": the folder ",
                   in_quotes(name),
                   " has control characters in its name, or what is no UTF-8, and its name is that of a "
                   "class; rename it");
}

// What is in the way in the folder of a class would otherwise be lost without a word.
void check_class_folder(const std::string& path, const FolderContents& contents) {
  check<DataError>(contents.unreadable.empty(), kOperation, ": ",
                   contents.unreadable.empty() ? "" : contents.unreadable[0],
                   ": cannot be read, or is a link to nothing; mend it, or move it away");
  check<DataError>(contents.folders.empty(), kOperation, ": ",
                   contents.folders.empty() ? "" : contents.folders[0],
                   ": a folder within the folder of a class found, wanted images directly in it; move them "
                   "there, or name the folder that holds the classes' folders");
  check<DataError>(!contents.images.empty(), kOperation, ": ", path, ": a class without images found",
                   contents.others.empty() ? "" : ", with " + others_text(contents),
                   "; put PNG or JPEG files into it, or remove it");
}

// How many files are passed over, and one of them.
struct Strangers {
  size_t count = 0;
  std::string one;

  void add(const std::vector<std::string>& others) {
    if (count == 0 && !others.empty()) one = others[0];
    count += others.size();
  }
};

Part read_part(const std::string& path, const FolderContents& top, Strangers& strangers) {
  check<DataError>(top.unreadable.empty(), kOperation, ": ", top.unreadable.empty() ? "" : top.unreadable[0],
                   ": cannot be read, or is a link to nothing; mend it, or move it away");
  const std::string found = others_text(top);
  check<DataError>(!top.folders.empty(), kOperation, ": ", path, ": no folder of a class found",
                   !top.images.empty() ? str(", but ", top.images.size(), " images")
                   : found.empty()     ? ""
                                       : ", but " + found,
                   ", ", kWanted);
  check<DataError>(top.images.empty(), kOperation, ": ", top.images.empty() ? "" : top.images[0],
                   ": an image beside the folders of the classes, which has no class; move it into one of "
                   "them, or away");
  strangers.add(top.others);
  Part part{path, {}, {}};
  std::vector<std::tuple<std::string, int32_t, std::string>> files;  // name, label, path
  for (const std::string& folder : top.folders) {
    throw_if_stopped("listing the images");
    const std::string name = name_of(folder);
    check_class_name(folder, name);
    const FolderContents contents = list_folder(kOperation, folder);
    check_class_folder(folder, contents);
    strangers.add(contents.others);
    const auto label = static_cast<int32_t>(part.class_names.size());
    part.class_names.push_back(name);
    for (const std::string& file : contents.images) files.emplace_back(name_of(file), label, file);
  }
  check<DataError>(part.class_names.size() >= 2, kOperation, ": ", path, ": one class found (",
                   part.class_names.empty() ? "" : part.class_names[0], "), wanted at least two; ",
                   "make a folder for each class");
  std::sort(files.begin(), files.end());
  auto source = std::make_shared<Files>();
  for (auto& [name, label, file] : files) {
    part.images.images.push_back(std::ssize(source->paths));
    part.images.labels.push_back(label);
    source->paths.push_back(std::move(file));
  }
  part.images.source = std::move(source);
  return part;
}

// All parts have the same classes.
void check_classes(const Part& part, const Part& other) {
  for (const auto& [one, two] : {std::pair(&part, &other), std::pair(&other, &part)}) {
    for (const std::string& name : one->class_names) {
      const bool is_there = std::binary_search(two->class_names.begin(), two->class_names.end(), name);
      check<DataError>(is_there, kOperation, ": ", one->path, " has the class ", in_quotes(name), ", ",
                       two->path, " has not; wanted the same classes in both");
    }
  }
}

// Whether a folder is a part of a dataset, and not a class that is called so, whose images are in it.
bool holds_folders(const std::string& path) {
  return !list_part(path).folders.empty();
}

}  // namespace

OwnImages list_image_folder(const std::string& folder) {
  const fs::path root(folder);
  std::error_code ignored;
  check<DataError>(fs::exists(root, ignored), kOperation, ": ", folder, ": no such folder; ", kWanted);
  check<DataError>(fs::is_directory(root, ignored), kOperation, ": ", folder, ": a file found, ", kWanted);
  const FolderContents top = list_part(folder);
  std::map<std::string, std::string> parts;  // names and paths
  std::string validation;
  for (const std::string& path : top.folders) {
    const std::string name = name_of(path);
    const bool is_validation = std::find(kValidation.begin(), kValidation.end(), name) != kValidation.end();
    if ((name != kTrain && name != kTest && !is_validation) || !holds_folders(path)) continue;
    parts.emplace(name, path);
    if (!is_validation) continue;
    check<DataError>(validation.empty(), kOperation, ": ", folder, ": both ", validation, " and ", name,
                     " found, wanted one part to decide by; remove one of them");
    validation = name;
  }
  Strangers strangers;
  OwnImages images{.name = folder, .class_names = {}, .train = {}, .test = {}, .validation = {}};
  if (parts.empty()) {
    Part part = read_part(folder, top, strangers);
    images.class_names = std::move(part.class_names);
    images.train = std::move(part.images);
  } else {
    for (const std::string& path : top.folders) {
      check<DataError>(parts.contains(name_of(path)), kOperation, ": ", path, ": a folder beside ",
                       parts.begin()->first, " found, wanted train, test and val alone, with the classes' ",
                       "folders in them; move it away");
    }
    check<DataError>(top.images.empty(), kOperation, ": ", top.images.empty() ? "" : top.images[0],
                     ": an image beside ", parts.begin()->first,
                     ", which has no class; move it into the folder of one, or away");
    strangers.add(top.others);
    std::map<std::string, Part> read;
    for (const auto& [name, path] : parts) {
      read.emplace(name, read_part(path, list_part(path), strangers));
      check_classes(read.begin()->second, read.at(name));
    }
    images.class_names = read.begin()->second.class_names;
    const auto take = [&](const std::string& name) {
      const auto found = read.find(name);
      return found == read.end() ? ImageList{} : std::move(found->second.images);
    };
    images.train = take(kTrain);
    images.test = take(kTest);
    images.validation = take(validation);
  }
  if (strangers.count > 0) {
    show(on_one_line(
             fmt::format("folder: {}{} passed over: no PNG or JPEG", strangers.one,
                         strangers.count > 1 ? fmt::format(" and {} more", strangers.count - 1) : "")) +
         "\n");
  }
  return images;
}

}  // namespace fovea::cli
