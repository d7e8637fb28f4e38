#include "fovea/data/datasets.h"

#include <algorithm>
#include <filesystem>

#include "fovea/core/cache_folder.h"
#include "fovea/core/check.h"
#include "fovea/core/environment.h"
#include "fovea/core/printable.h"
#include "fovea/core/suggestion.h"
#include "fovea/data/cifar.h"
#include "fovea/data/file.h"
#include "fovea/data/idx.h"
#include "fovea/data/synthetic.h"

namespace fovea {
namespace {

constexpr int64_t kSyntheticTrain = 10000, kSyntheticTest = 2000;
constexpr const char* kDebianFashionMnist = "/usr/share/datasets/fashion-mnist";

/// How to know a dataset's folder.
struct Layout {
  std::vector<std::string> children;  // the folder's usual names
  std::vector<std::string> files;     // any of these marks the folder
  std::string advice;
};

Layout cifar_layout(const CifarFormat& format) {
  Layout layout{
      {format.folder, format.python.folder},
      format.train_files,
      "get it with `cifar_trainer fetch`, or name the folder that has it, also by FOVEA_DATA, in its "
      "binary version or in that for Python"};
  for (const auto* files : {&format.test_files, &format.python.train_files, &format.python.test_files}) {
    layout.files.insert(layout.files.end(), files->begin(), files->end());
  }
  return layout;
}

Layout fashion_mnist_layout() {
  Layout layout{
      {"fashion-mnist"},
      {},
      "install Debian's package dataset-fashion-mnist, or name the folder that has it, also by FOVEA_DATA"};
  for (const char* name : {"train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte",
                           "t10k-labels-idx1-ubyte"}) {
    layout.files.emplace_back(name);
    layout.files.push_back(std::string(name) + ".gz");
  }
  return layout;
}

void check_name(const std::string& name) {
  const std::vector<std::string> names = dataset_names();
  if (std::find(names.begin(), names.end(), name) != names.end()) return;
  throw UsageError("dataset: there is no dataset " + in_quotes(name) + ", wanted one of " + joined(names));
}

Layout layout_of(const std::string& name) {
  if (name == "cifar10") return cifar_layout(cifar10_format());
  if (name == "cifar100") return cifar_layout(cifar100_format());
  check<UsageError>(name == "fashion-mnist", "dataset: ", name, " is drawn from the seed, and has no folder");
  return fashion_mnist_layout();
}

/// Where Keras (2 and 3) keeps CIFAR, and where torchvision's examples do: those that are there.
void add_folders_of_python(std::vector<std::filesystem::path>& roots) {
  const std::filesystem::path home = environment("HOME"), keras = home / ".keras/datasets";
  for (const std::filesystem::path& root :
       {keras, keras / "cifar-10-batches-py-target", keras / "cifar-100-python-target",
        std::filesystem::path("data")}) {
    std::error_code ignored;
    if (std::filesystem::is_directory(root, ignored) && (!home.empty() || root == "data")) {
      roots.push_back(root);
    }
  }
}

}  // namespace

std::vector<std::string> dataset_names() {
  return {"cifar10", "cifar100", "fashion-mnist", "synthetic"};
}

std::string find_dataset(const std::string& name, const std::string& folder) {
  check_name(name);
  const Layout layout = layout_of(name);
  std::vector<std::filesystem::path> roots;
  if (!folder.empty()) {
    roots.emplace_back(folder);
  } else {
    if (const std::string data = environment("FOVEA_DATA"); !data.empty()) roots.emplace_back(data);
    roots.emplace_back(cache_folder());
    if (name == "fashion-mnist") roots.emplace_back(kDebianFashionMnist);
    if (name.starts_with("cifar")) add_folders_of_python(roots);
  }
  std::string searched;
  for (const std::filesystem::path& root : roots) {
    std::vector<std::filesystem::path> candidates{root};
    for (const std::string& child : layout.children) candidates.push_back(root / child);
    for (const std::filesystem::path& candidate : candidates) {
      if (holds_any(candidate, layout.files)) return candidate.string();
      searched += (searched.empty() ? "" : ", ") + candidate.string();
    }
  }
  throw DataError(str("dataset: ", name, " not found: expected ", layout.files.front(),
                      " and the other files in ", roots.size() == 1 ? "" : "one of ", searched, "; ",
                      layout.advice));
}

Dataset load_dataset(const std::string& name, const std::string& folder, uint64_t seed) {
  check_name(name);
  if (name == "synthetic") {
    return {synthetic_images(Split::train, kSyntheticTrain, seed),
            synthetic_images(Split::test, kSyntheticTest, seed)};
  }
  const std::string found = find_dataset(name, folder);
  if (name == "fashion-mnist") {
    return {load_fashion_mnist(found, Split::train), load_fashion_mnist(found, Split::test)};
  }
  const CifarFormat format = name == "cifar10" ? cifar10_format() : cifar100_format();
  return {load_cifar(format, found, Split::train), load_cifar(format, found, Split::test)};
}

}  // namespace fovea
