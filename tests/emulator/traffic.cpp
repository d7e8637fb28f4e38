#include "traffic.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "fovea/core/check.h"
#include "memory.h"

namespace fovea::emulator {
namespace {

TrafficMeter* current_meter = nullptr;

/// Addresses become the order in which they appear, and how they are aligned.
std::string without_addresses(std::string arguments) {
  std::vector<uint64_t> seen;
  for (size_t i = 0; i + sizeof(uint64_t) <= arguments.size(); i += sizeof(uint64_t)) {
    uint64_t word = 0;
    std::memcpy(&word, arguments.data() + i, sizeof(word));
    if (!memory().contains(reinterpret_cast<const void*>(word))) continue;  // NOLINT
    const auto place = std::find(seen.begin(), seen.end(), word);
    const auto order = static_cast<uint64_t>(place - seen.begin());
    if (place == seen.end()) seen.push_back(word);
    word = ~uint64_t{0} - order * 4096 - word % 4096;
    std::memcpy(arguments.data() + i, &word, sizeof(word));
  }
  return arguments;
}

}  // namespace

TrafficMeter::TrafficMeter() {
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
  std::string key =
      str(work.kernel.function, " ", work.kernel.grid.x, " ", work.kernel.grid.y, " ", work.kernel.grid.z,
          " ", work.kernel.block.x, " ", work.kernel.block.y, " ", work.kernel.block.z, " ");
  key += without_addresses(work.kernel.arguments);
  const auto found = known_.find(key);
  if (found != known_.end()) {
    nodes_.push_back(found->second);
    return;
  }
  const DeviceMemoryAccess access;
  memory().begin_watching();
  PageTraffic traffic;
  try {
    work.run();
  } catch (...) {
    memory().end_watching();
    throw;
  }
  traffic = memory().end_watching();
  const NodeTraffic node{work.operation, name_of_function(work.kernel.function), traffic.read,
                         traffic.written};
  known_.emplace(std::move(key), node);
  nodes_.push_back(node);
}

std::vector<NodeTraffic> TrafficMeter::take() {
  return std::exchange(nodes_, {});
}

}  // namespace fovea::emulator
