#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "fovea/data/cifar.h"
#include "unpack.h"

namespace fovea {

/// A dataset's archive: what it holds, where it is to be had, and how to know that it is whole.
struct Archive {
  CifarFormat format;
  bool is_python = false;                // the version for Python, not the binary one
  std::string file;                      // its name at the addresses
  std::string digest;                    // SHA-256 or MD5: see digest_kind
  int64_t bytes = 0;                     // its size; 0 where it is not known
  std::vector<std::string> addresses{};  // of folders that have it

  /// The folder in the archive, whose name it has on the disk as well.
  const std::string& folder() const { return is_python ? format.python.folder : format.folder; }
  /// The files that are taken out of it.
  std::vector<ArchiveMember> members() const;
};

/// The archives of "cifar10" or "cifar100" as their authors publish them, any of which will do: the binary
/// version, and that for Python, which has more mirrors. UsageError for another name.
std::vector<Archive> official_archives(const std::string& dataset);

}  // namespace fovea
