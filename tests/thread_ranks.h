#pragma once

#include <barrier>
#include <functional>
#include <thread>
#include <vector>

#include "fovea/core/ranks.h"
#include "fovea/training/rank_sums.h"

namespace fovea::test {

/// Ranks that are threads of this process, on the CPU.
class ThreadRanks {
 public:
  /// Calls body(ranks) on `size` threads, where nothing may be checked: Catch2 wants one thread for that.
  static void run(int size, const std::function<void(Ranks&)>& body) {
    Shared shared(size);
    std::vector<std::thread> threads;
    for (int rank = 0; rank < size; ++rank) {
      threads.emplace_back([&shared, &body, rank] {
        Rank own(shared, rank);
        body(own);
      });
    }
    for (std::thread& thread : threads) thread.join();
  }

 private:
  struct Shared {
    explicit Shared(int size) : given(static_cast<size_t>(size)), all_there(size) {}
    std::vector<Tensor> given;
    std::barrier<> all_there;
  };

  class Rank : public Ranks {
   public:
    Rank(Shared& shared, int rank) : shared_(shared), rank_(rank) {}
    int rank() const override { return rank_; }
    int size() const override { return static_cast<int>(shared_.given.size()); }

    void sum(Tensor& x) override {
      std::vector<Tensor> all = exchange(x);
      sum_parts(all, x);
    }
    void gather(const Tensor& x, Tensor& parts) override {
      const std::vector<Tensor> all = exchange(x);
      for (size_t i = 0; i < all.size(); ++i) {
        parts.slice(static_cast<int64_t>(i) * x.size(), x.shape()).copy_from(all[i]);
      }
    }

   private:
    /// Copies of what each rank gives.
    std::vector<Tensor> exchange(const Tensor& x) {
      shared_.given[static_cast<size_t>(rank_)] = x;
      shared_.all_there.arrive_and_wait();
      std::vector<Tensor> all;
      for (const Tensor& tensor : shared_.given) all.push_back(tensor.clone());
      shared_.all_there.arrive_and_wait();
      return all;
    }

    Shared& shared_;
    int rank_;
  };
};

}  // namespace fovea::test
