#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "fovea/data/image_set.h"

#pragma GCC visibility push(default)
namespace fovea {

/// What a network learns from and is tested with. All sets have the same classes.
struct Dataset {
  ImageSet train, test;
  ImageSet validation{};  // to decide by, where the dataset has such a part of its own
};

/// "cifar10", "cifar100", "fashion-mnist" and "synthetic".
std::vector<std::string> dataset_names();

/// Loads a dataset by name from `folder`, or, where that is empty, from where find_dataset finds it; `seed`
/// makes the synthetic one. UsageError for an unknown name, DataError for files missing or damaged.
Dataset load_dataset(const std::string& name, const std::string& folder, uint64_t seed);

/// The folder that holds the files of a dataset: `folder` or its child of the archive's name if `folder` is
/// given, else the same under $FOVEA_DATA and cache_folder(), and where others put them: Debian's package
/// (fashion-mnist), Keras (~/.keras/datasets) and torchvision's examples (data). DataError says where it
/// looked and what to do.
std::string find_dataset(const std::string& name, const std::string& folder);

}  // namespace fovea
#pragma GCC visibility pop
