#include <nccl.h>

#include <chrono>
#include <cstring>
#include <exception>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "fovea/core/check.h"
#include "fovea/training/nccl.h"

namespace fovea {
namespace {

void check_nccl(ncclResult_t result, const char* call) {
  if (result == ncclSuccess || result == ncclInProgress) return;
  throw DeviceError(str("ranks: ", call, ": ", ncclGetErrorString(result), ": ", ncclGetLastError(nullptr),
                        "; NCCL_DEBUG=INFO tells more"));
}

ncclDataType_t type_of(Dtype dtype) {
  switch (dtype) {
    case Dtype::f32: return ncclFloat32;
    case Dtype::f64: return ncclFloat64;
    case Dtype::bf16: return ncclBfloat16;
    case Dtype::f16: return ncclFloat16;
    case Dtype::u8: return ncclUint8;
    case Dtype::i32: return ncclInt32;
    default: return ncclInt64;
  }
}

size_t count_of(const Tensor& x) {
  return static_cast<size_t>(x.size());
}

/// NCCL's identifier, which rank 0 makes and the others get.
ncclUniqueId identifier_through(Ranks& host) {
  ncclUniqueId id{};
  if (host.rank() == 0) check_nccl(ncclGetUniqueId(&id), "ncclGetUniqueId");
  constexpr int64_t kBytes = sizeof id;
  Tensor own = Tensor::empty({kBytes}, Dtype::u8), all = Tensor::empty({host.size(), kBytes}, Dtype::u8);
  std::memcpy(own.raw(), &id, sizeof id);
  host.gather(own, all);
  std::memcpy(&id, all.raw(), sizeof id);
  return id;
}

ncclUniqueId write_identifier(const std::string& file) {
  ncclUniqueId id{};
  check_nccl(ncclGetUniqueId(&id), "ncclGetUniqueId");
  const std::string part = file + ".part";  // what others find is whole
  std::ofstream out(part, std::ios::binary);
  const bool is_written = out.write(id.internal, sizeof id.internal).flush().good();
  std::error_code failure;
  if (is_written) std::filesystem::rename(part, file, failure);
  check<DeviceError>(is_written && !failure, "ranks: ", file, " cannot be written: ",
                     failure ? failure.message() : "the disk is full, or the folder is not there");
  return id;
}

/// Takes a file away in the end, if it has a name.
struct FileRemoval {
  ~FileRemoval() {
    std::error_code ignored;
    if (!file.empty()) std::filesystem::remove(file, ignored);
  }
  std::string file;
};

ncclUniqueId read_identifier(const std::string& file, int rank) {
  constexpr std::chrono::minutes kPatience{2};
  const auto begin = std::chrono::steady_clock::now();
  // What a start has left that was killed is older.
  const auto is_of_now = [&] {
    std::error_code failure;
    const auto written = std::filesystem::last_write_time(file, failure);
    return !failure && std::filesystem::file_time_type::clock::now() - written < kPatience;
  };
  ncclUniqueId id{};
  while (!is_of_now() || !std::ifstream(file, std::ios::binary).read(id.internal, sizeof id.internal)) {
    check<DeviceError>(std::chrono::steady_clock::now() - begin < kPatience, "ranks: rank ", rank,
                       " has waited two minutes for ", file,
                       ", in which rank 0 leaves NCCL's identifier; wanted a folder that all ranks see");
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return id;
}

class NcclRanks : public Ranks {
 public:
  explicit NcclRanks(const NcclSettings& settings)
      : device_(settings.device),
        host_(settings.host),
        rank_(host_ == nullptr ? settings.rank : host_->rank()),
        size_(host_ == nullptr ? settings.size : host_->size()) {
    cuda_stream(device_);  // makes it the current one, where NCCL begins
    const FileRemoval removal{host_ == nullptr && rank_ == 0 ? settings.file : ""};  // all have it then
    const ncclUniqueId id = host_ != nullptr ? identifier_through(*host_)
                            : rank_ == 0     ? write_identifier(settings.file)
                                             : read_identifier(settings.file, rank_);
    check_nccl(ncclCommInitRank(&communicator_, size_, id, rank_), "ncclCommInitRank");
  }
  ~NcclRanks() override {
    if (std::uncaught_exceptions() != exceptions_) {
      ncclCommAbort(communicator_);  // the others may never come
    } else {
      wait_for_others();
      ncclCommDestroy(communicator_);
    }
  }
  NcclRanks(const NcclRanks&) = delete;
  NcclRanks& operator=(const NcclRanks&) = delete;

  int rank() const override { return rank_; }
  int size() const override { return size_; }

  void sum(Tensor& x) override {
    if (x.device().is_cpu()) {
      if (host_ != nullptr) return host_->sum(x);
      Tensor there = x.to(device_);
      sum(there);
      return x.copy_from(there);
    }
    check_nccl(ncclAllReduce(x.raw(), x.raw(), count_of(x), type_of(x.dtype()), ncclSum, communicator_,
                             stream_of(x)),
               "ncclAllReduce");
  }

  void gather(const Tensor& x, Tensor& parts) override {
    if (x.device().is_cpu()) {
      if (host_ != nullptr) return host_->gather(x, parts);
      Tensor all = Tensor::empty(parts.shape(), parts.dtype(), device_);
      gather(x.to(device_), all);
      return parts.copy_from(all);
    }
    check_nccl(
        ncclAllGather(x.raw(), parts.raw(), count_of(x), type_of(x.dtype()), communicator_, stream_of(x)),
        "ncclAllGather");
  }

 private:
  /// Where no host does: the first rank may have more to do than the others.
  void wait_for_others() noexcept {
    if (host_ != nullptr) return;
    try {
      Tensor none = Tensor::zeros({1}, Dtype::i64);
      sum(none);
    } catch (const Error&) {
      // The device has failed, which has been told.
    }
  }

  cudaStream_t stream_of(const Tensor& x) const {
    check<UsageError>(x.device() == device_, "ranks: ", x, " is on ", x.device(), ", wanted ", device_);
    return static_cast<cudaStream_t>(cuda_stream(device_));
  }

  const int exceptions_ = std::uncaught_exceptions();
  const Device device_;
  Ranks* const host_;
  const int rank_, size_;
  ncclComm_t communicator_ = nullptr;
};

}  // namespace

std::unique_ptr<Ranks> nccl_ranks(const NcclSettings& settings) {
  return std::make_unique<NcclRanks>(settings);
}

}  // namespace fovea
