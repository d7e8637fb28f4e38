#include "fovea/training/mpi/heartbeat.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <utility>
#include <vector>

namespace fovea {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::seconds kBeat{1}, kSilence{8};
// This process itself was held up: what it has not heard says nothing of the others.
constexpr std::chrono::seconds kOwnPause{3};

struct Other {
  Clock::time_point heard = Clock::now();
  MPI_Request beat = MPI_REQUEST_NULL;  // on its way there
  char content = 0;
};

// Whose beat has come, if one has. A failure is silence, which ends the run in time.
std::optional<int> take_beat(MPI_Comm communicator) {
  int is_there = 0;
  MPI_Status status;
  if (MPI_Iprobe(MPI_ANY_SOURCE, 0, communicator, &is_there, &status) != MPI_SUCCESS || is_there == 0)
    return {};
  char content = 0;
  const int result = MPI_Recv(&content, 1, MPI_CHAR, status.MPI_SOURCE, 0, communicator, MPI_STATUS_IGNORE);
  if (result != MPI_SUCCESS) return {};
  return status.MPI_SOURCE;
}

}  // namespace

MpiHeartbeat::MpiHeartbeat(int rank, int size, RankReport report) : report_(std::move(report)) {
  // Messages apart from those of the work. All ranks do this together, so that it is no matter of the thread.
  MPI_Comm communicator;
  MPI_Comm_dup(MPI_COMM_WORLD, &communicator);
  thread_ = std::thread([=, this] { run(communicator, rank, size); });
}

MpiHeartbeat::~MpiHeartbeat() {
  {
    const std::lock_guard lock(mutex_);
    is_over_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void MpiHeartbeat::end_all(MPI_Comm communicator, int rank, int size) const {
  const auto seconds = static_cast<int>(kSilence.count());
  if (report_) {
    report_(rank, size, seconds);
  } else {
    std::fprintf(stderr, "fovea: rank %d of %d has not answered for %d seconds; all ranks end\n", rank, size,
                 seconds);
  }
  MPI_Abort(communicator, 4);
  std::abort();
}

void MpiHeartbeat::run(MPI_Comm communicator, int rank, int size) {
  std::vector<Other> others(static_cast<size_t>(size));
  Clock::time_point before = Clock::now();
  std::unique_lock lock(mutex_);
  while (!changed_.wait_for(lock, kBeat, [&] { return is_over_; })) {
    const Clock::time_point now = Clock::now();
    const bool was_held_up = now - before > kOwnPause;
    before = now;
    while (const std::optional<int> source = take_beat(communicator)) {
      others[static_cast<size_t>(*source)].heard = now;
    }
    for (int r = 0; r < size; ++r) {
      Other& other = others[static_cast<size_t>(r)];
      if (r == rank) continue;
      if (was_held_up) other.heard = now;
      if (now - other.heard > kSilence) end_all(communicator, r, size);
      int is_gone = 1;
      if (other.beat != MPI_REQUEST_NULL) MPI_Test(&other.beat, &is_gone, MPI_STATUS_IGNORE);
      if (is_gone != 0) MPI_Isend(&other.content, 1, MPI_CHAR, r, 0, communicator, &other.beat);
    }
  }
  for (Other& other : others) {
    if (other.beat != MPI_REQUEST_NULL) MPI_Request_free(&other.beat);
  }
}

}  // namespace fovea
