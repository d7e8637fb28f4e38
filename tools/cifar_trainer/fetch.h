#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "fovea/data/cifar.h"

namespace fovea {

/// A dataset's archive: what it holds, and how to know that it is whole.
struct Archive {
  CifarFormat format;
  std::string file;    // its name at the address
  std::string sha256;  // 64 hexadecimal digits
  int64_t bytes = 0;   // its size; 0 where it is not known
};

/// The archive of "cifar10" or "cifar100" as their authors publish it. UsageError for another name.
Archive official_archive(const std::string& dataset);

struct FetchRequest {
  Archive archive;
  std::string folder;  // where the dataset's own folder is to be, for example cache_folder()
  std::string base_url = "https://www.cs.toronto.edu/~kriz/";
  /// Bytes that are here, and bytes in all (0 while not known); called about once a second or more often.
  std::function<void(int64_t done, int64_t total)> progress{};
  /// Polled at least once a second: true ends the download, which the next call continues.
  std::function<bool()> should_stop{};
};

/// Downloads, checks and unpacks an archive; returns the dataset's folder, at once if it is there already.
/// DataError if the server, the network or the disk fails or the checksum is wrong. What came of an
/// unfinished download stays in FILE.part, and the next call asks for the rest only.
std::string fetch(const FetchRequest& request);

}  // namespace fovea
