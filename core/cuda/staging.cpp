#include "fovea/core/cuda/staging.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <mutex>

#include "fovea/core/cuda/runtime.h"

namespace fovea::cuda {
namespace {

constexpr size_t kSlotBytes = size_t{1} << 20;
constexpr size_t kSlots = 4;
constexpr const char* kOperation = "copy_from: staging";

/// The pinned memory of one device: slots that are filled in turn.
class Staging {
 public:
  void copy(void* to, const void* from, size_t bytes) {
    const std::lock_guard lock(mutex_);
    for (size_t done = 0; done < bytes; done += kSlotBytes) {
      const size_t count = std::min(bytes - done, kSlotBytes);
      Slot& slot = slots_[next_];
      prepare(slot);
      std::memcpy(slot.memory, static_cast<const std::byte*>(from) + done, count);
      check_cuda(cudaMemcpyAsync(static_cast<std::byte*>(to) + done, slot.memory, count,
                                 cudaMemcpyHostToDevice, current_stream()),
                 kOperation);
      check_cuda(cudaEventRecord(slot.is_read, current_stream()), kOperation);
      next_ = (next_ + 1) % kSlots;
    }
  }

 private:
  struct Slot {
    void* memory = nullptr;
    cudaEvent_t is_read = nullptr;
  };

  /// Ready to be written.
  static void prepare(Slot& slot) {
    if (slot.is_read == nullptr) {
      check_cuda(cudaEventCreateWithFlags(&slot.is_read, cudaEventDisableTiming), kOperation);
    }
    if (slot.memory == nullptr) {
      check_cuda(cudaMallocHost(&slot.memory, kSlotBytes), kOperation, "; wanted ", kSlotBytes,
                 " bytes of pinned memory of the CPU");
    }
    check_cuda(cudaEventSynchronize(slot.is_read), kOperation);
  }

  std::mutex mutex_;
  std::array<Slot, kSlots> slots_;
  size_t next_ = 0;
};

}  // namespace

void copy_staged(void* to, const void* from, size_t bytes) {
  // Never destroyed: CUDA may be gone before static objects are.
  static auto* mutex = new std::mutex;
  static auto* by_device = new std::map<int, Staging>;
  Staging* staging = nullptr;
  {
    const std::lock_guard lock(*mutex);
    staging = &(*by_device)[current_device()];
  }
  staging->copy(to, from, bytes);
}

}  // namespace fovea::cuda
