#include "fovea/core/ranks.h"

#include <algorithm>

namespace fovea {
namespace {

constinit thread_local Ranks *sharing = nullptr, *joining = nullptr;

}  // namespace

SharedBatch::SharedBatch(Ranks* ranks, bool joins_statistics)
    : sharing_before_(sharing), joining_before_(joining) {
  sharing = ranks;
  joining = ranks != nullptr && joins_statistics && ranks->size() > 1 ? ranks : nullptr;
}
SharedBatch::~SharedBatch() {
  sharing = sharing_before_;
  joining = joining_before_;
}

Ranks* ranks_of_statistics() {
  return joining;
}

int64_t batch_groups() {
  return sharing == nullptr ? kBatchGroups : std::max<int64_t>(1, kBatchGroups / sharing->size());
}

}  // namespace fovea
