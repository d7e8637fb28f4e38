#include "fovea/core/ranks.h"

#include "fovea/core/check.h"

namespace fovea {
namespace {

constinit thread_local Ranks *sharing = nullptr, *joining = nullptr;

}  // namespace

SharedBatch::SharedBatch(Ranks* ranks, bool joins_statistics)
    : sharing_before_(sharing), joining_before_(joining) {
  check<UsageError>(ranks == nullptr || (ranks->size() >= 1 && kBatchGroups % ranks->size() == 0),
                    "ranks: a batch is shared by ", ranks == nullptr ? 0 : ranks->size(),
                    ", wanted a number of ranks that divides ", kBatchGroups);
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
  return sharing == nullptr ? kBatchGroups : kBatchGroups / sharing->size();
}

}  // namespace fovea
