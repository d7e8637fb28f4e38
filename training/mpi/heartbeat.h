#pragma once

#define OMPI_SKIP_MPICXX 1
#include <mpi.h>

#include <condition_variable>
#include <mutex>
#include <thread>

#include "fovea/training/mpi.h"

namespace fovea {

/// While one lives on each rank, a thread tells the others every second that this process is there. A rank of
/// which nothing was heard for 8 seconds (stopped, or on a machine that is gone; the launcher itself notices
/// one that has ended) ends all of them, with its number and exit code 4: they would wait for it for ever.
class MpiHeartbeat {
 public:
  /// All ranks make one at the same time, after MPI_Init_thread.
  MpiHeartbeat(int rank, int size, RankReport report);
  ~MpiHeartbeat();
  MpiHeartbeat(const MpiHeartbeat&) = delete;
  MpiHeartbeat& operator=(const MpiHeartbeat&) = delete;

 private:
  void run(MPI_Comm communicator, int rank, int size);
  [[noreturn]] void end_all(MPI_Comm communicator, int rank, int size) const;

  const RankReport report_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool is_over_ = false;
  std::thread thread_;
};

}  // namespace fovea
