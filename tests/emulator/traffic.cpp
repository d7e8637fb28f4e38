#include "traffic.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "fovea/core/check.h"
#include "memory.h"

namespace fovea::emulator {
namespace {

TrafficMeter* current_meter = nullptr;

/// A word of a kernel's arguments that points into a block of device memory.
struct Pointer {
  size_t argument;  // where it lies
  uintptr_t address;
  MemoryBlock block;
  size_t order;  // of its block among those that are pointed to
};

std::vector<Pointer> pointers_of(const Work& work) {
  const std::string& arguments = work.kernel.arguments;
  std::vector<Pointer> pointers;
  std::vector<uintptr_t> blocks;
  for (size_t i = 0; i + sizeof(uintptr_t) <= arguments.size(); i += sizeof(uintptr_t)) {
    uintptr_t word = 0;
    std::memcpy(&word, arguments.data() + i, sizeof(word));
    const MemoryBlock block = memory().block_of(word);
    if (block.bytes == 0) continue;
    const auto place = std::find(blocks.begin(), blocks.end(), block.begin);
    const auto order = static_cast<size_t>(place - blocks.begin());
    if (place == blocks.end()) blocks.push_back(block.begin);
    pointers.push_back({i, word, block, order});
  }
  return pointers;
}

/// All that decides what a kernel does, but for the values in memory: addresses count by their blocks' order
/// and by where they lie in a page.
std::string identity_of(const Work& work) {
  std::string arguments = work.kernel.arguments;
  for (const Pointer& pointer : pointers_of(work)) {
    const uint64_t word = ~uint64_t{0} - pointer.order * kPage - pointer.address % kPage;
    std::memcpy(arguments.data() + pointer.argument, &word, sizeof(word));
  }
  const Dim3 &grid = work.kernel.grid, &block = work.kernel.block;
  return str(work.kernel.function, " ", grid.x, " ", grid.y, " ", grid.z, " ", block.x, " ", block.y, " ",
             block.z, " ", arguments);
}

/// What the same kernel has in common for any number of images, the most exact first: where which arguments
/// point, and which memory that was there before the meter.
std::vector<std::string> likenesses_of(const Work& work, uint64_t kept_blocks) {
  std::string blocks, addresses;
  for (const Pointer& pointer : pointers_of(work)) {
    blocks += str(" ", pointer.argument, ":", pointer.order);
    const bool is_kept = pointer.block.number < kept_blocks;
    addresses += is_kept ? str(" ", pointer.address) : std::string(" new");
  }
  const std::string function = str(work.kernel.function);
  return {function + blocks + addresses, function + blocks, function};
}

}  // namespace

TrafficMeter::TrafficMeter() : kept_blocks_(memory().blocks_made()) {
  check(current_meter == nullptr, "TrafficMeter: there is another one");
  memory().set_bare(true);
  current_meter = this;
}

TrafficMeter::~TrafficMeter() {
  current_meter = nullptr;
  memory().set_bare(false);
}

TrafficMeter* TrafficMeter::current() {
  return current_meter;
}

bool is_measuring() {
  return current_meter != nullptr;
}

void TrafficMeter::replay(const Work& work) {
  if (work.kernel.function == nullptr) {
    nodes_.push_back({work.operation, "", work.read, work.written});
    return;
  }
  if (const Shares* shares = mode_ == Mode::project ? projected(work) : nullptr) return note(work, *shares);
  const auto [known, is_new] = known_.try_emplace(identity_of(work));
  if (is_new) known->second = measured(work);
  for (const std::string& likeness : likenesses_of(work, kept_blocks_))
    samples_.emplace(likeness, known->second);
  note(work, known->second);
}

TrafficMeter::Shares TrafficMeter::measured(const Work& work) const {
  std::vector<PageAccess> accesses;
  {
    const DeviceMemoryAccess access;
    memory().begin_watching();
    try {
      work.run();
    } catch (...) {
      memory().end_watching();
      throw;
    }
    accesses = memory().end_watching();
  }
  std::map<uintptr_t, Share> shares;  // by the block's begin
  for (const Pointer& pointer : pointers_of(work)) {
    shares.try_emplace(pointer.block.begin,
                       Share{pointer.argument, pointer.block.number < kept_blocks_, 0, 0});
  }
  for (const PageAccess& access : accesses) {
    const MemoryBlock block = memory().block_of(access.address);
    const auto share = shares.find(block.begin);
    check(share != shares.end(), work.operation, ": ", name_of_function(work.kernel.function),
          " touches memory that none of its arguments points into");
    const double pages = std::ceil(static_cast<double>(block.bytes) / static_cast<double>(kPage));
    (access.is_write ? share->second.written : share->second.read) += 1 / pages;
  }
  Shares result;
  for (const auto& [begin, share] : shares) result.push_back(share);
  return result;
}

const TrafficMeter::Shares* TrafficMeter::projected(const Work& work) const {
  for (const std::string& likeness : likenesses_of(work, kept_blocks_)) {
    const auto sample = samples_.find(likeness);
    if (sample != samples_.end()) return &sample->second;
  }
  return nullptr;
}

void TrafficMeter::note(const Work& work, const Shares& shares) {
  NodeTraffic node{work.operation, name_of_function(work.kernel.function), 0, 0};
  for (const Share& share : shares) {
    uintptr_t address = 0;
    std::memcpy(&address, work.kernel.arguments.data() + share.argument, sizeof(address));
    const MemoryBlock block = memory().block_of(address);
    const auto bytes = static_cast<double>(block.bytes);
    // A result that went to a tensor among others may now go to memory of its own, all of it.
    const bool is_whole = share.is_kept && block.number >= kept_blocks_;
    const auto bytes_of = [&](double part) {
      return std::llround(bytes * (is_whole ? std::ceil(part) : std::min(part, 1.0)));
    };
    node.read += bytes_of(share.read);
    node.written += bytes_of(share.written);
  }
  nodes_.push_back(node);
}

std::vector<NodeTraffic> TrafficMeter::take() {
  return std::exchange(nodes_, {});
}

}  // namespace fovea::emulator
