#pragma once

#include <optional>
#include <string>

namespace fovea {

/// How many processors the control groups of this process let it use, as containers and batch systems limit
/// them: the smallest quota of its group and of those around it, by `cpu.max` (version 2) or
/// `cpu.cfs_quota_us` (version 1). Nothing where there is no limit, or none that can be read. `root`: the
/// folder that stands for "/".
std::optional<double> cpu_quota(const std::string& root = "/");

/// How many threads are to compute where `processors` may be used and `quota` limits their time: a part of a
/// processor counts as one, because a thread that is stopped for a while still does more than none.
int threads_within(int processors, std::optional<double> quota);

}  // namespace fovea
