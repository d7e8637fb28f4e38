#pragma once

#include <cstdint>

#include "fovea/core/tensor.h"

#pragma GCC visibility push(default)
namespace fovea {

/// Groups of images into which a sum over a whole batch is cut, on the CPU: each group is summed by itself,
/// then pairs of groups, then pairs of pairs. Fixed, so that the bits depend neither on the threads nor on
/// how many ranks share a batch, if they are 1, 2, 4 or 8: a rank's part of the sum is one of the pairs.
inline constexpr int64_t kBatchGroups = 8;

/// Processes that train one network together, "ranks" as MPI calls them: each computes an equal, consecutive
/// share of every batch. All of them call the functions below in the same order, and wait there for each
/// other.
class Ranks {
 public:
  virtual ~Ranks() = default;
  /// 0, ..., size() - 1: the place of this rank's share in a batch.
  virtual int rank() const = 0;
  virtual int size() const = 0;
  /// x = the sum of the ranks' x: on the CPU pairs of ranks, then pairs of pairs, on devices in an order that
  /// is fixed for these ranks. The same bits on every rank.
  virtual void sum(Tensor& x) = 0;
  /// parts[r] = the x of rank r.  parts: [size(), ...]
  virtual void gather(const Tensor& x, Tensor& parts) = 0;
};

/// While one lives, what is computed on this thread is this rank's share of a batch; without ranks all of it.
class SharedBatch {
 public:
  /// joins_statistics: batch norms take their statistics over all ranks, instead of over each share.
  SharedBatch(Ranks* ranks, bool joins_statistics);
  ~SharedBatch();
  SharedBatch(const SharedBatch&) = delete;
  SharedBatch& operator=(const SharedBatch&) = delete;

 private:
  Ranks *sharing_before_, *joining_before_;
};

/// The ranks over which a batch norm on this thread takes its statistics; null: it has all of the batch, or
/// is to take them over its share alone.
Ranks* ranks_of_statistics();
/// Calls add(to, from) so that number 0 of `count` becomes the sum of all, in the order of Ranks::sum and of
/// the groups of a batch: pairs, then pairs of pairs.
template <class Add>
void add_by_pairs(int64_t count, Add&& add) {
  for (int64_t step = 1; step < count; step *= 2) {
    for (int64_t i = 0; i + step < count; i += 2 * step) add(i, i + step);
  }
}

/// Groups of which this thread's share of a batch consists: kBatchGroups / ranks, rounded down, but one.
int64_t batch_groups();

}  // namespace fovea
#pragma GCC visibility pop
