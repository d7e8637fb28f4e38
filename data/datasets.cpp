#include "fovea/data/datasets.h"

#include <algorithm>
#include <filesystem>

#include "fovea/core/cache_folder.h"
#include "fovea/core/check.h"
#include "fovea/core/environment.h"
#include "fovea/core/printable.h"
#include "fovea/data/cifar.h"
#include "fovea/data/idx.h"
#include "fovea/data/synthetic.h"

namespace fovea {
namespace {

constexpr int64_t kSyntheticTrain = 10000, kSyntheticTest = 2000;
constexpr const char* kDebianFashionMnist = "/usr/share/datasets/fashion-mnist";

/// How to know a dataset's folder.
struct Layout {
  std::string child;               // the folder's usual name
  std::vector<std::string> files;  // any of these marks the folder
  std::string advice;
};

Layout cifar_layout(const CifarFormat& format) {
  Layout layout{format.folder, format.train_files,
                "get it with `cifar_trainer fetch`, or say with --data or FOVEA_DATA where it is"};
  layout.files.insert(layout.files.end(), format.test_files.begin(), format.test_files.end());
  return layout;
}

Layout fashion_mnist_layout() {
  Layout layout{
      "fashion-mnist",
      {},
      "install Debian's package dataset-fashion-mnist, or say with --data or FOVEA_DATA where it is"};
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
  std::string list;
  for (const std::string& known : names) list += (list.empty() ? "" : ", ") + known;
  throw UsageError("dataset: there is no dataset " + in_quotes(name) + ", wanted one of " + list);
}

Layout layout_of(const std::string& name) {
  if (name == "cifar10") return cifar_layout(cifar10_format());
  if (name == "cifar100") return cifar_layout(cifar100_format());
  check<UsageError>(name == "fashion-mnist", "find_dataset: ", name,
                    " is made from the seed, not found in a folder");
  return fashion_mnist_layout();
}

bool holds_any(const std::filesystem::path& folder, const std::vector<std::string>& files) {
  std::error_code ignored;
  return std::any_of(files.begin(), files.end(), [&](const std::string& file) {
    return std::filesystem::exists(folder / file, ignored);
  });
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
  }
  std::string searched;
  for (const std::filesystem::path& root : roots) {
    for (const std::filesystem::path& candidate : {root, root / layout.child}) {
      if (holds_any(candidate, layout.files)) return candidate.string();
      searched += (searched.empty() ? "" : ", ") + candidate.string();
    }
  }
  throw DataError(str("find_dataset: ", name, " not found: expected ", layout.files.front(),
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
