#pragma once

#include <functional>
#include <string>
#include <vector>

namespace fovea {

/// A file of a dataset as its authors publish it.
struct KnownFile {
  std::string name;    // "test_batch.bin"
  std::string digest;  // SHA-256 or MD5 (see digest_kind) of its contents, inflated where they are in NAME.gz
};

/// A dataset in one of the forms that its authors publish.
struct KnownDataset {
  std::string dataset;  // "cifar10"
  std::vector<KnownFile> files;
};

/// Those whose checksums are known: CIFAR-10 in its binary version and in that for Python, CIFAR-100 in that
/// for Python, Fashion-MNIST.
const std::vector<KnownDataset>& known_datasets();

/// What came of looking at the files of a dataset.
struct FileCheck {
  bool is_official = false;            // all of them, and none is missing
  std::vector<std::string> unknown{};  // paths of files that are not the authors'
};

/// Compares the files in a folder with the first form of `dataset` in `table` of which all are there.
/// DataError where a file is another one of that form, such as the test file in the place of a training file.
/// What is not in the table is not looked at. `should_stop` is polled now and then; true ends it, with
/// nothing said.
FileCheck check_files(const std::string& dataset, const std::string& folder,
                      const std::vector<KnownDataset>& table, const std::function<bool()>& should_stop = {});

}  // namespace fovea
