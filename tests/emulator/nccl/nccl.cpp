#include "nccl.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>

#include "emulator.h"
#include "fovea/core/check.h"
#include "fovea/core/half.h"

// Stand-in for NCCL: processes, each with an emulated device, that add up in memory which they share. A call
// is work of its stream, as with NCCL: it is done in the stream's order, or recorded, and waits there for the
// other ranks.

namespace {

constexpr size_t kRoom = size_t{1} << 20;  // bytes of each rank that are there at a time
constexpr int kMostRanks = 8;

// All zeros at first.
struct Shared {
  std::atomic<int> arrived;
  std::atomic<unsigned> meetings;
  std::atomic<uint64_t> calls[kMostRanks];  // what each rank is about to do: kind, type and count
  alignas(64) unsigned char room[kMostRanks][kRoom];
};

size_t size_of(ncclDataType_t type) {
  switch (type) {
    case ncclUint8: return 1;
    case ncclFloat16:
    case ncclBfloat16: return 2;
    case ncclInt32:
    case ncclFloat32: return 4;
    default: return 8;
  }
}

template <class T>
T sum_of(T a, T b) {
  if constexpr (sizeof(T) == 2) {
    return T(static_cast<float>(a) + static_cast<float>(b));
  } else {
    return static_cast<T>(a + b);
  }
}

template <class T>
void add(const unsigned char* from, unsigned char* to, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    T a, b;
    std::memcpy(&a, to + i * sizeof(T), sizeof(T));
    std::memcpy(&b, from + i * sizeof(T), sizeof(T));
    const T sum = sum_of(a, b);
    std::memcpy(to + i * sizeof(T), &sum, sizeof(T));
  }
}

void add(ncclDataType_t type, const unsigned char* from, unsigned char* to, size_t count) {
  switch (type) {
    case ncclUint8: return add<uint8_t>(from, to, count);
    case ncclInt32: return add<int32_t>(from, to, count);
    case ncclInt64: return add<int64_t>(from, to, count);
    case ncclFloat16: return add<fovea::f16>(from, to, count);
    case ncclBfloat16: return add<fovea::bf16>(from, to, count);
    case ncclFloat32: return add<float>(from, to, count);
    default: return add<double>(from, to, count);
  }
}

}  // namespace

struct ncclComm {
  ncclComm(Shared* memory, int number, int count) : shared(memory), rank(number), ranks(count) {}

  void meet() const {
    using Clock = std::chrono::steady_clock;
    const unsigned now = shared->meetings;
    if (shared->arrived.fetch_add(1) + 1 == ranks) {
      shared->arrived = 0;
      ++shared->meetings;
      return;
    }
    for (const auto begin = Clock::now(); shared->meetings == now; sched_yield()) {
      fovea::check(Clock::now() - begin < std::chrono::minutes(1), "nccl: rank ", rank, " of ", ranks,
                   " waits in vain for another one");
    }
  }

  /// Lets use(first, count of bytes, who gave what) see what all ranks give, a piece at a time.
  template <class Use>
  void exchange(uint64_t call, const unsigned char* from, size_t bytes, const Use& use) const {
    shared->calls[rank] = call;
    for (size_t first = 0; first < bytes; first += kRoom) {
      const size_t count = std::min(kRoom, bytes - first);
      std::memcpy(shared->room[rank], from + first, count);
      meet();
      for (int r = 0; r < ranks; ++r) {
        fovea::check(shared->calls[r] == call, "nccl: ranks 0 to ", ranks - 1,
                     " do not make the same calls in the same order");
      }
      use(first, count);
      meet();
    }
  }

  Shared* shared;
  int rank, ranks;
};

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  static int count = 0;
  *id = {};
  std::snprintf(id->internal, sizeof id->internal, "/fovea-nccl-%d-%d", static_cast<int>(getpid()), count++);
  return ncclSuccess;
}

ncclResult_t ncclCommInitRank(ncclComm_t* communicator, int ranks, ncclUniqueId id, int rank) {
  if (ranks < 1 || ranks > kMostRanks || rank < 0 || rank >= ranks) return ncclInvalidArgument;
  const int file = shm_open(id.internal, O_CREAT | O_RDWR, 0600);
  if (file < 0) return ncclSystemError;
  void* memory = MAP_FAILED;
  if (ftruncate(file, sizeof(Shared)) == 0) {
    memory = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  }
  close(file);
  if (memory == MAP_FAILED) return ncclSystemError;
  *communicator = new ncclComm(static_cast<Shared*>(memory), rank, ranks);
  (*communicator)->meet();
  if (rank == 0) shm_unlink(id.internal);
  return ncclSuccess;
}

ncclResult_t ncclCommAbort(ncclComm_t communicator) {
  munmap(communicator->shared, sizeof(Shared));
  delete communicator;
  return ncclSuccess;
}

ncclResult_t ncclCommDestroy(ncclComm_t communicator) {
  return ncclCommAbort(communicator);
}

const char* ncclGetErrorString(ncclResult_t result) {
  return result == ncclInvalidArgument ? "invalid argument" : "an error of the emulated NCCL";
}
const char* ncclGetLastError(ncclComm_t) {
  return "";
}

ncclResult_t ncclAllReduce(const void* from, void* to, size_t count, ncclDataType_t type,
                           ncclRedOp_t operation, ncclComm_t communicator, cudaStream_t stream) {
  if (operation != ncclSum || !fovea::emulator::is_device_pointer(from) ||
      !fovea::emulator::is_device_pointer(to)) {
    return ncclInvalidArgument;
  }
  const size_t element = size_of(type), bytes = count * element;
  const auto run = [=] {
    const fovea::emulator::DeviceMemoryAccess access;
    const uint64_t call = count << 8 | static_cast<uint64_t>(type) << 1;
    auto* const out = static_cast<unsigned char*>(to);
    communicator->exchange(call, static_cast<const unsigned char*>(from), bytes,
                           [&](size_t first, size_t size) {
                             std::memcpy(out + first, communicator->shared->room[0], size);
                             for (int r = 1; r < communicator->ranks; ++r) {
                               add(type, communicator->shared->room[r], out + first, size / element);
                             }
                           });
  };
  const auto moved = static_cast<int64_t>(bytes);
  fovea::emulator::submit(stream, {"ncclAllReduce", run, moved, moved});
  return ncclSuccess;
}

ncclResult_t ncclAllGather(const void* from, void* to, size_t count, ncclDataType_t type,
                           ncclComm_t communicator, cudaStream_t stream) {
  if (!fovea::emulator::is_device_pointer(from) || !fovea::emulator::is_device_pointer(to)) {
    return ncclInvalidArgument;
  }
  const size_t bytes = count * size_of(type);
  const auto run = [=] {
    const fovea::emulator::DeviceMemoryAccess access;
    const uint64_t call = count << 8 | static_cast<uint64_t>(type) << 1 | 1;
    auto* const out = static_cast<unsigned char*>(to);
    communicator->exchange(
        call, static_cast<const unsigned char*>(from), bytes, [&](size_t first, size_t size) {
          for (int r = 0; r < communicator->ranks; ++r) {
            std::memcpy(out + static_cast<size_t>(r) * bytes + first, communicator->shared->room[r], size);
          }
        });
  };
  const auto moved = static_cast<int64_t>(bytes);
  fovea::emulator::submit(stream, {"ncclAllGather", run, moved, moved * communicator->ranks});
  return ncclSuccess;
}
