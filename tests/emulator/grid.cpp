#include <algorithm>
#include <bit>
#include <map>
#include <memory>
#include <random>
#include <string_view>
#include <vector>

#include "emulator.h"
#include "fiber.h"
#include "fovea/core/check.h"
#include "streams.h"

namespace fovea::emulator {
namespace {

constexpr unsigned char kPoison = 0xFF;
constexpr size_t kGuardBytes = 64;

enum class State { ready, at_barrier, at_warp, ended };

struct Waiting {
  WarpOperation operation;
  unsigned mask;
  uint64_t bits;
  int source;
};

struct BlockThread {
  Dim3 index;
  int number = 0;
  State state = State::ready;
  Site site = Site::current();  // where it waits
  Waiting waiting{};
  uint64_t result = 0;
};

std::string place_of(const Site& site) {
  const std::string_view path = site.file_name();
  return str(path.substr(path.find_last_of('/') + 1), ":", site.line());
}

/// A block that runs, on its threads' fibers.
class Block {
 public:
  void begin(const char* operation, Dim3 grid, Dim3 block_index, Dim3 block,
             const std::function<void()>& body) {
    operation_ = operation;
    was_interrupted_ = false;
    prepare(grid, block_index, block, body);
  }

  /// Runs one of its threads until that waits or lets others run. False if all have ended then. With
  /// `is_hasty` a thread that lets others run mostly goes on itself, so that it comes far ahead of them.
  bool run_some(bool is_hasty, std::mt19937_64& order) {
    const bool goes_on = is_hasty && was_interrupted_ && order() % 8 != 0;
    if (!goes_on) std::swap(ready_[order() % ready_.size()], ready_.back());
    running_ = ready_.back();
    ready_.pop_back();
    threadIdx = now().index;
    blockIdx = block_;
    blockDim = block_size_;
    gridDim = grid_;
    was_interrupted_ = is_at_atomic_ = false;
    fibers_[static_cast<size_t>(running_)]->resume();
    if (fibers_[static_cast<size_t>(running_)]->has_ended()) now().state = State::ended;
    if (ready_.empty()) pass_barrier();
    if (!ready_.empty()) return true;
    check_shared_memory();
    return false;
  }

  void let_others_run(bool at_atomic) {
    was_interrupted_ = true;
    is_at_atomic_ = at_atomic;
    ready_.push_back(running_);
    fibers_[static_cast<size_t>(running_)]->leave();
  }

  /// Whether the last thread that ran is there.
  bool is_at_atomic() const { return is_at_atomic_; }

  void wait_for_block(const Site& site) {
    now().state = State::at_barrier;
    now().site = site;
    fibers_[static_cast<size_t>(running_)]->leave();
  }

  uint64_t wait_for_warp(const Waiting& waiting, const Site& site) {
    BlockThread& own = now();
    const unsigned bit = 1u << own.number % kWarp;
    if ((waiting.mask & bit) == 0) {
      fail(str("thread ", own.number, " is not in its own mask ", hex(waiting.mask), " at ", place_of(site)));
    }
    own.state = State::at_warp;
    own.site = site;
    own.waiting = waiting;
    if (!exchange(own)) fibers_[static_cast<size_t>(own.number)]->leave();
    return own.result;
  }

  void* own_memory(const void* key, size_t bytes) {
    std::vector<unsigned char>& memory = own_[key];
    if (memory.size() < bytes) memory.resize(bytes);
    return memory.data();
  }

  void* shared_memory(const void* key, size_t bytes) {
    const auto found = shared_.find(key);
    if (found != shared_.end()) return found->second->data() + kGuardBytes;
    const bool is_dynamic = key == &dynamic_bytes_;
    if (is_dynamic && bytes != dynamic_bytes_) {
      fail(str("a block uses ", bytes, " bytes of dynamic shared memory, the launch asks for ",
               dynamic_bytes_));
    }
    if (!is_dynamic) static_bytes_ += bytes;
    const size_t all = static_bytes_ + dynamic_bytes_;
    if (static_bytes_ > kUnaskedShared || all > capability().shared_bytes) {
      fail(str("a block uses ", static_bytes_, " bytes of shared memory and asks for ", dynamic_bytes_,
               " more, and may use ", kUnaskedShared, ", or ", capability().shared_bytes, " in all"));
    }
    auto memory = std::make_unique<std::vector<unsigned char>>(bytes + 2 * kGuardBytes, kPoison);
    for_each_guard(*memory, [](unsigned char& byte) { byte = guard_byte(&byte); });
    return shared_.emplace(key, std::move(memory)).first->second->data() + kGuardBytes;
  }

  [[noreturn]] void fail(const std::string& what) const {
    throw Error(str(operation_, ": block ", block_.x, ",", block_.y, ",", block_.z, ": ", what));
  }

  void allow_dynamic(size_t bytes) { dynamic_bytes_ = bytes; }
  void* dynamic_memory(size_t bytes) { return shared_memory(&dynamic_bytes_, bytes); }

 private:
  static std::string hex(unsigned mask) {
    std::ostringstream out;
    out << "0x" << std::hex << mask;
    return out.str();
  }

  BlockThread& now() { return threads_[static_cast<size_t>(running_)]; }

  void prepare(Dim3 grid, Dim3 block_index, Dim3 block, const std::function<void()>& body) {
    const auto count = static_cast<size_t>(block.count());
    while (fibers_.size() < count) fibers_.push_back(std::make_unique<Fiber>());
    threads_.assign(count, {});
    ready_.clear();
    shared_.clear();
    static_bytes_ = dynamic_bytes_ = 0;
    block_ = block_index;
    block_size_ = block;
    grid_ = grid;
    for (size_t i = 0; i < count; ++i) {
      const auto n = static_cast<unsigned>(i);
      threads_[i].number = static_cast<int>(i);
      threads_[i].index = {n % block.x, n / block.x % block.y, n / block.x / block.y};
      fibers_[i]->start(&body);
      ready_.push_back(static_cast<int>(i));
    }
  }

  /// If all lanes that `own` waits for wait too: gives each its result, and makes all but `own` ready.
  bool exchange(BlockThread& own) {
    const auto first = static_cast<size_t>(own.number / kWarp * kWarp);
    const auto lane_at = [&](int lane) -> BlockThread* {
      const size_t number = first + static_cast<size_t>(lane);
      return number < threads_.size() ? &threads_[number] : nullptr;
    };
    const unsigned mask = own.waiting.mask;
    unsigned ballot = 0;
    for (int lane = 0; lane < kWarp; ++lane) {
      if ((mask >> lane & 1u) == 0) continue;
      const BlockThread* other = lane_at(lane);
      if (other == nullptr || other->state != State::at_warp) return false;
      const Waiting& theirs = other->waiting;
      if (theirs.mask != mask || theirs.operation != own.waiting.operation ||
          other->site.line() != own.site.line()) {
        fail(str("threads ", own.number, " at ", place_of(own.site), " with mask ", hex(mask), " and ",
                 other->number, " at ", place_of(other->site), " with mask ", hex(theirs.mask),
                 " meet in different warp operations"));
      }
      if (theirs.bits != 0) ballot |= 1u << lane;
    }
    for (int lane = 0; lane < kWarp; ++lane) {
      if ((mask >> lane & 1u) == 0) continue;
      BlockThread* other = lane_at(lane);
      if (own.waiting.operation == WarpOperation::ballot) {
        other->result = ballot;
      } else {
        const int source = other->waiting.source & (kWarp - 1);
        other->result = (mask >> source & 1u) != 0 ? lane_at(source)->waiting.bits : ~uint64_t{0};
      }
      other->state = State::ready;
      if (other != &own) ready_.push_back(other->number);
    }
    return true;
  }

  /// Nothing can run: either all threads stand at one barrier, or all have ended, or something is wrong.
  void pass_barrier() {
    const auto count = [&](State state) {
      return std::count_if(threads_.begin(), threads_.end(),
                           [state](const BlockThread& thread) { return thread.state == state; });
    };
    if (count(State::ended) == std::ssize(threads_)) return;
    if (count(State::at_barrier) < std::ssize(threads_)) describe_deadlock();
    for (const BlockThread& thread : threads_) {
      if (place_of(thread.site) != place_of(threads_[0].site)) {
        fail(str("thread 0 is at the barrier at ", place_of(threads_[0].site), ", thread ", thread.number,
                 " at that at ", place_of(thread.site)));
      }
    }
    for (BlockThread& thread : threads_) {
      thread.state = State::ready;
      ready_.push_back(thread.number);
    }
  }

  [[noreturn]] void describe_deadlock() const {
    std::map<std::string, std::vector<int>> places;
    for (const BlockThread& thread : threads_) {
      const std::string where =
          thread.state == State::ended ? "have ended"
          : thread.state == State::at_barrier
              ? "wait at the barrier at " + place_of(thread.site)
              : "wait for lanes " + hex(thread.waiting.mask) + " at " + place_of(thread.site);
      places[where].push_back(thread.number);
    }
    std::string what = "not all threads get on:";
    for (const auto& [where, numbers] : places) {
      what += str(" ", numbers.size(), " (the first is ", numbers.front(), ") ", where, ";");
    }
    fail(what);
  }

  /// The bytes before and behind an array.
  template <class Visit>
  static void for_each_guard(std::vector<unsigned char>& memory, Visit visit) {
    for (size_t i = 0; i < kGuardBytes; ++i) {
      visit(memory[i]);
      visit(memory[memory.size() - 1 - i]);
    }
  }

  void check_shared_memory() const {
    for (const auto& [key, memory] : shared_) {
      bool is_intact = true;
      for_each_guard(*memory,
                     [&](const unsigned char& byte) { is_intact = is_intact && byte == guard_byte(&byte); });
      if (!is_intact)
        fail(str("a write beside a shared array of ", memory->size() - 2 * kGuardBytes, " bytes"));
    }
  }

  const char* operation_ = "";
  Dim3 block_, block_size_, grid_;
  std::vector<BlockThread> threads_;
  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::vector<int> ready_;
  std::map<const void*, std::unique_ptr<std::vector<unsigned char>>> shared_;
  size_t static_bytes_ = 0, dynamic_bytes_ = 0;
  std::map<const void*, std::vector<unsigned char>> own_;
  int running_ = 0;
  bool was_interrupted_ = false, is_at_atomic_ = false;  // the last thread that ran
};

thread_local Block* running_block = nullptr;

uint64_t schedule_seed = 1;

/// Blocks whose threads run in turn; with one multiprocessor one after the other.
size_t blocks_at_once() {
  constexpr int kMost = 3;
  return static_cast<size_t>(std::min(kMost, multiprocessors()));
}

void run_grid(const char* operation, Dim3 grid, Dim3 block_size, const std::function<void()>& body) {
  static uint64_t launches = 0;
  static thread_local std::vector<std::unique_ptr<Block>> blocks;
  while (blocks.size() < blocks_at_once()) blocks.push_back(std::make_unique<Block>());
  std::mt19937_64 order(schedule_seed * 1000003 + launches++);
  const DeviceMemoryAccess access;
  // Blocks begin in any order.
  std::vector<uint64_t> numbers(grid.count());
  for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = i;
  std::shuffle(numbers.begin(), numbers.end(), order);
  const auto begin = [&](Block& block) {
    const uint64_t number = numbers.back();
    numbers.pop_back();
    const auto x = static_cast<unsigned>(number % grid.x);
    const auto y = static_cast<unsigned>(number / grid.x % grid.y);
    const auto z = static_cast<unsigned>(number / grid.x / grid.y);
    block.begin(operation, grid, {x, y, z}, block_size, body);
  };
  std::vector<Block*> running;
  for (const auto& block : blocks) {
    if (numbers.empty()) break;
    begin(*block);
    running.push_back(block.get());
  }
  // The first goes on until it rests behind others, which then overtake it: seldom, or they would all
  // come as far; likely at an atomic, where a block tells others of what it has done (Burckhardt et al., "A
  // randomized scheduler with probabilistic guarantees of finding bugs", 2010).
  const uint64_t steps = uint64_t{1} << order() % 13, atomics = uint64_t{1} << order() % 5;
  const bool is_hasty = order() % 2 == 0;
  while (!running.empty()) {
    running_block = running.front();
    if (running_block->run_some(is_hasty, order)) {
      const bool rests = order() % (running_block->is_at_atomic() ? atomics : steps) == 0;
      if (rests && running.size() > 1) {
        const auto behind = static_cast<std::ptrdiff_t>(1 + order() % (running.size() - 1));
        std::rotate(running.begin(), running.begin() + 1, running.begin() + behind + 1);
      }
    } else if (numbers.empty()) {
      running.erase(running.begin());
    } else {
      begin(*running_block);
    }
  }
  if (!is_measuring()) check_memory_guards(operation);
}

}  // namespace

void block_barrier(const Site& site) {
  running_block->wait_for_block(site);
}

uint64_t warp_exchange(WarpOperation operation, unsigned mask, uint64_t bits, int source, const Site& site) {
  return running_block->wait_for_warp({operation, mask, bits, source}, site);
}

void* block_memory(const void* key, size_t bytes) {
  return running_block->own_memory(key, bytes);
}

void* shared_memory(const void* key, size_t bytes) {
  return running_block->shared_memory(key, bytes);
}

void let_others_run(bool at_atomic) {
  running_block->let_others_run(at_atomic);
}

void allow_dynamic_shared_memory(size_t bytes) {
  running_block->allow_dynamic(bytes);
}

void* dynamic_shared_memory(size_t bytes) {
  return running_block->dynamic_memory(bytes);
}

void set_schedule(uint64_t seed) {
  schedule_seed = seed;
  seed_streams(seed);
}

void stop_kernel() {
  running_block->fail("the kernel ends itself");
}

void launch(const char* operation, Kernel kernel, cudaStream_t stream, std::function<void()> body) {
  const Dim3 grid = kernel.grid, block_size = kernel.block;
  check<DeviceError>(is_grid(grid, block_size), operation, ": a grid of ", grid.x, "x", grid.y, "x", grid.z,
                     " blocks of ", block_size.x, "x", block_size.y, "x", block_size.z,
                     " threads cannot be launched");
  const auto run = [=, body = std::move(body)] { run_grid(operation, grid, block_size, body); };
  submit(stream, {operation, run, 0, 0, std::move(kernel)});
}

}  // namespace fovea::emulator
