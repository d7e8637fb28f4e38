// Arrays of NumPy in a folder: images and labels, or a pair of them for each part.
#include <algorithm>
#include <filesystem>
#include <numeric>
#include <set>

#include "fovea/core/check.h"
#include "fovea/core/printable.h"
#include "fovea/data/file.h"
#include "fovea/data/npy.h"
#include "own_images.h"

namespace fovea::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kWanted =
    "wanted images.npy and labels.npy, or train-images.npy, train-labels.npy, test-images.npy and "
    "test-labels.npy";
constexpr size_t kMaxNamesBytes = size_t{1} << 24;

class Rows : public ImageSource {
 public:
  explicit Rows(const std::string& path) : images(path) {}
  Tensor read(int64_t n) const override { return images.read(n); }
  std::string file(int64_t) const override { return ""; }

  NpyImages images;
};

// The arrays PREFIXimages.npy and PREFIXlabels.npy; an empty list where there is neither.
ImageList list_part(const fs::path& folder, const std::string& prefix) {
  const std::string images = (folder / (prefix + "images.npy")).string(),
                    labels = (folder / (prefix + "labels.npy")).string();
  std::error_code ignored;
  const bool has_images = fs::exists(images, ignored), has_labels = fs::exists(labels, ignored);
  if (!has_images && !has_labels) return {};
  check<DataError>(has_images && has_labels, "npy: ", has_images ? images : labels, " found, but no ",
                   has_images ? labels : images, "; wanted both");
  auto source = std::make_shared<Rows>(images);
  const int64_t N = source->images.shape()[0];
  ImageList list{source, std::vector<int64_t>(static_cast<size_t>(N)), read_npy_labels(labels, N)};
  std::iota(list.images.begin(), list.images.end(), int64_t{0});
  return list;
}

// The lines of classes.txt; none where there is no such file.
std::vector<std::string> read_class_names(const std::string& path) {
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return {};
  const std::vector<std::byte> bytes = read_file("npy", path, kMaxNamesBytes, "wanted a class name a line");
  std::vector<std::string> names(1);
  for (const std::byte byte : bytes) {
    const char c = static_cast<char>(byte);
    if (c == '\n') names.emplace_back();
    if (c != '\n' && c != '\r') names.back() += c;
  }
  if (names.back().empty()) names.pop_back();
  std::set<std::string> seen;
  for (size_t i = 0; i < names.size(); ++i) {
    const std::string& name = names[i];
    check<DataError>(!name.empty() && printable(name) == name && name.find('\t') == std::string::npos,
                     "npy: ", path, ": line ", i + 1, ": ", in_quotes(name),
                     " found, wanted a class name without control characters, in UTF-8");
    check<DataError>(seen.insert(name).second, "npy: ", path, ": line ", i + 1, ": the class ",
                     in_quotes(name), " is named a second time; give each another name");
  }
  return names;
}

// Each class has images in each part, and no label is beyond the classes.
void check_labels(const fs::path& folder, const std::string& prefix, const ImageList& list,
                  const std::vector<std::string>& class_names) {
  std::vector<bool> occurs(class_names.size());
  const std::string path = (folder / (prefix + "labels.npy")).string();
  for (size_t n = 0; n < list.labels.size(); ++n) {
    const auto label = static_cast<size_t>(list.labels[n]);
    check<DataError>(label < occurs.size(), "npy: ", path, ": image ", n, " has the label ", label,
                     ", wanted 0 to ", occurs.size() - 1, ", the ", occurs.size(),
                     " classes of the training images or of classes.txt");
    occurs[label] = true;
  }
  for (size_t c = 0; c < occurs.size(); ++c) {
    check<DataError>(occurs[c], "npy: ", path, ": no image has the label ", c, " (", class_names[c],
                     "), the greatest is ", occurs.size() - 1,
                     "; number the classes from 0 on, each of them with images");
  }
}

}  // namespace

OwnImages list_npy_folder(const std::string& name) {
  const fs::path folder(name);
  std::error_code ignored;
  check<DataError>(fs::is_directory(folder, ignored), "npy: ", name,
                   fs::exists(folder, ignored) ? ": a file found" : ": no such folder", ", wanted a folder; ",
                   kWanted);
  OwnImages images{.name = name, .class_names = {}, .train = {}, .test = {}, .validation = {}};
  ImageList all = list_part(folder, "");
  images.train = list_part(folder, "train-");
  images.test = list_part(folder, "test-");
  images.validation = list_part(folder, "val-");
  const bool has_parts = images.train.size() + images.test.size() + images.validation.size() > 0;
  check<DataError>(all.size() > 0 || has_parts, "npy: ", name, ": none of these arrays found, ", kWanted);
  check<DataError>(all.size() == 0 || !has_parts, "npy: ", name,
                   ": both images.npy and arrays of parts found, ", kWanted, "; move one of them away");
  std::string prefix = has_parts ? "train-" : "";
  if (!has_parts) images.train = std::move(all);

  images.class_names = read_class_names((folder / "classes.txt").string());
  if (images.class_names.empty()) {
    const std::vector<int32_t>& labels = images.train.size() > 0  ? images.train.labels
                                         : images.test.size() > 0 ? images.test.labels
                                                                  : images.validation.labels;
    const int32_t greatest = *std::max_element(labels.begin(), labels.end());
    for (int32_t c = 0; c <= greatest; ++c) images.class_names.push_back(std::to_string(c));
  }
  check<DataError>(images.class_names.size() >= 2, "npy: ", name, ": one class found, wanted at least two");
  if (images.train.size() > 0) check_labels(folder, prefix, images.train, images.class_names);
  if (images.test.size() > 0) check_labels(folder, "test-", images.test, images.class_names);
  if (images.validation.size() > 0) check_labels(folder, "val-", images.validation, images.class_names);
  return images;
}

}  // namespace fovea::cli
