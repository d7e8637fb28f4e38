#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "archives.h"
#include "fovea/core/check.h"

namespace fovea {

/// A download would not be done, or was not, in the time that it was given. What came of it is kept.
struct TookTooLong : Error {
  using Error::Error;
};

struct FetchProgress {
  std::string url;
  int64_t bytes = 0, total = 0;  // that are here, and in all; 0 where the size is not known
  double bytes_per_second = 0;   // over the last ten seconds; 0: not known yet
  double seconds_left = -1;      // at that rate; -1: not known
};

struct FetchRequest {
  std::vector<Archive> archives;  // one of them is wanted: the first is the one to prefer
  std::string folder;             // where the dataset's own folder is to be, for example cache_folder()
  double max_seconds = 0;         // the download may take; 0: as long as it needs
  /// Called about once a second or more often.
  std::function<void(const FetchProgress&)> progress{};
  /// A line about an address that fails or is slow, where there are others.
  std::function<void(const std::string&)> tell{};
  /// Polled at least once a second: true ends the download, which the next call continues.
  std::function<bool()> should_stop{};
  /// Seconds since any time.
  std::function<double()> clock{};
};

/// Downloads, checks and unpacks one of the archives; returns the dataset's folder, at once if it is there
/// already; waits for another process that fetches the same. Goes through all addresses until one is fast (a
/// megabyte a second), and takes the fastest where none is. DataError if none of them can be read, or the
/// disk fails; TookTooLong as soon as it is plain that max_seconds will not do. What came of an unfinished
/// download stays in FILE.part, and the next call asks for the rest only.
std::string fetch(const FetchRequest& request);

}  // namespace fovea
