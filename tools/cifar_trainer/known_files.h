#pragma once

#include <functional>
#include <string>
#include <vector>

namespace fovea {

/// A file of a dataset as its authors publish it.
struct KnownFile {
  std::string dataset, name;  // "cifar10", "test_batch.bin"
  std::string sha256;         // of its contents, inflated where they are in NAME.gz
};

/// Those whose checksums are known: CIFAR-10's and Fashion-MNIST's.
const std::vector<KnownFile>& known_files();

/// What came of looking at the files of a dataset.
struct FileCheck {
  bool is_official = false;            // all of them, and none is missing
  std::vector<std::string> unknown{};  // paths of files that are not the authors'
};

/// Compares the files in a folder with those in `table` for `dataset`. DataError where a file is another one
/// of that dataset, such as the test file in the place of a training file. What is not in the table is not
/// looked at. `should_stop` is polled now and then; true ends it, with nothing said.
FileCheck check_files(const std::string& dataset, const std::string& folder,
                      const std::vector<KnownFile>& table, const std::function<bool()>& should_stop = {});

}  // namespace fovea
