#include <sched.h>

#include <algorithm>
#include <exception>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fovea/core/check.h"
#include "fovea/training/mpi.h"
#include "fovea/training/mpi/heartbeat.h"
#include "fovea/training/rank_sums.h"

namespace fovea {
namespace {

void check_mpi(int result, const char* call) {
  if (result == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING] = "";
  int length = 0;
  MPI_Error_string(result, text, &length);
  throw DeviceError(str("ranks: ", call, ": ", std::string(text, static_cast<size_t>(length))));
}

/// Waits for what all ranks do together. A rank that waits leaves its processor to those that compute, where
/// there are more of them than processors.
void finish(int result, const char* call, MPI_Request& request) {
  check_mpi(result, call);
  for (int is_done = 0; is_done == 0;) {
    check_mpi(MPI_Test(&request, &is_done, MPI_STATUS_IGNORE), call);
    if (is_done == 0) sched_yield();
  }
}

class MpiRanks : public Ranks {
 public:
  explicit MpiRanks(RankReport report) {
    int provided = 0;
    check_mpi(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &provided), "MPI_Init_thread");
    check_mpi(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
    check_mpi(MPI_Comm_rank(MPI_COMM_WORLD, &rank_), "MPI_Comm_rank");
    check_mpi(MPI_Comm_size(MPI_COMM_WORLD, &size_), "MPI_Comm_size");
    if (provided == MPI_THREAD_MULTIPLE) heartbeat_.emplace(rank_, size_, std::move(report));
  }
  ~MpiRanks() override {
    // An error ends this process alone, whereupon the launcher ends the others.
    if (std::uncaught_exceptions() != exceptions_) return;
    MPI_Request request;
    int is_done = MPI_Ibarrier(MPI_COMM_WORLD, &request) == MPI_SUCCESS ? 0 : 1;
    while (is_done == 0 && MPI_Test(&request, &is_done, MPI_STATUS_IGNORE) == MPI_SUCCESS) sched_yield();
    heartbeat_.reset();  // from here on nobody is waited for
    MPI_Finalize();
  }
  MpiRanks(const MpiRanks&) = delete;
  MpiRanks& operator=(const MpiRanks&) = delete;

  int rank() const override { return rank_; }
  int size() const override { return size_; }

  void gather(const Tensor& x, Tensor& parts) override {
    check_place(x);
    check<UsageError>(x.bytes() <= std::numeric_limits<int>::max(), "ranks: ", x, " has ", x.bytes(),
                      " bytes; wanted less than 2 GiB of each rank");
    MPI_Request request;
    const int bytes = static_cast<int>(x.bytes());
    finish(MPI_Iallgather(x.raw(), bytes, MPI_BYTE, parts.raw(), bytes, MPI_BYTE, MPI_COMM_WORLD, &request),
           "MPI_Iallgather", request);
  }

  void sum(Tensor& x) override {
    check_place(x);
    const int64_t most = kMostBytes / static_cast<int64_t>(size_of(x.dtype()));
    for (int64_t first = 0; first < x.size(); first += most) {
      Tensor part = x.slice(first, {std::min(most, x.size() - first)});
      part.bytes() <= kFewBytes ? sum_of_all(part) : sum_by_pieces(part);
    }
  }

 private:
  static constexpr int64_t kMostBytes = int64_t{1} << 28;  // in a call, which counts bytes in an int
  static constexpr int64_t kFewBytes = 16 << 10;           // up to here one call is faster than two

  static void check_place(const Tensor& x) {
    check<UsageError>(x.device().is_cpu(), "ranks: ", x, " is on ", x.device(), ", wanted the CPU");
  }

  /// Every rank gets all numbers, and adds them up.
  void sum_of_all(Tensor& x) {
    Tensor all = Tensor::empty({size_, x.size()}, x.dtype());
    gather(x, all);
    std::vector<Tensor> parts;
    for (int r = 0; r < size_; ++r) parts.push_back(all.slice(r * x.size(), x.shape()));
    sum_parts(parts, x);
  }

  /// Every rank adds up a piece, and gets the sums of the others: what each sends and receives does not grow
  /// with the number of ranks.
  void sum_by_pieces(Tensor& x) {
    const int64_t n = x.size();
    const int element = static_cast<int>(size_of(x.dtype()));
    const auto begin_of = [&](int piece) { return n * piece / size_; };
    const auto size_of_piece = [&](int piece) { return begin_of(piece + 1) - begin_of(piece); };
    const int64_t own = size_of_piece(rank_);
    std::vector<int> to_send, send_at, to_receive, receive_at;
    for (int r = 0; r < size_; ++r) {
      to_send.push_back(static_cast<int>(size_of_piece(r)) * element);
      send_at.push_back(static_cast<int>(begin_of(r)) * element);
      to_receive.push_back(static_cast<int>(own) * element);
      receive_at.push_back(static_cast<int>(own) * element * r);
    }
    Tensor received = Tensor::empty({size_, own}, x.dtype());
    MPI_Request request;
    finish(MPI_Ialltoallv(x.raw(), to_send.data(), send_at.data(), MPI_BYTE, received.raw(),
                          to_receive.data(), receive_at.data(), MPI_BYTE, MPI_COMM_WORLD, &request),
           "MPI_Ialltoallv", request);
    std::vector<Tensor> parts;
    for (int r = 0; r < size_; ++r) parts.push_back(received.slice(r * own, {own}));
    Tensor sum = Tensor::empty({own}, x.dtype());
    sum_parts(parts, sum);
    finish(MPI_Iallgatherv(sum.raw(), static_cast<int>(own) * element, MPI_BYTE, x.raw(), to_send.data(),
                           send_at.data(), MPI_BYTE, MPI_COMM_WORLD, &request),
           "MPI_Iallgatherv", request);
  }

  const int exceptions_ = std::uncaught_exceptions();
  int rank_ = 0, size_ = 1;
  std::optional<MpiHeartbeat> heartbeat_;
};

}  // namespace

std::unique_ptr<Ranks> mpi_ranks(RankReport report) {
  return std::make_unique<MpiRanks>(std::move(report));
}

}  // namespace fovea
