#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "emulator.h"

namespace fovea::emulator {

/// What one node of a graph moves to and from the device's memory.
struct NodeTraffic {
  std::string operation;          // what launched it
  std::string kernel;             // the function; empty for a copy, a fill, or a library's call
  int64_t read = 0, written = 0;  // bytes
};

/// Measures what the nodes of replayed graphs read and write. While one lives, nothing else that is launched
/// runs, and memory is neither poisoned nor guarded: graphs of any size can be recorded.
///
/// A kernel runs with the device's memory out of reach: the first read and the first write of each page fault
/// and are counted, so that bytes are whole pages, each once a node and way, as if a cache kept what the node
/// touches again. Of kernels with the same grid and arguments but for where pointers point, only the first
/// runs: what moves must not depend on values. Copies, fills and libraries' calls count their tensors.
class TrafficMeter {
 public:
  TrafficMeter();
  ~TrafficMeter();
  TrafficMeter(const TrafficMeter&) = delete;
  TrafficMeter& operator=(const TrafficMeter&) = delete;

  /// The one that lives, or null.
  static TrafficMeter* current();
  void replay(const Work& work);
  /// Of what was replayed since the last call, in order.
  std::vector<NodeTraffic> take();

 private:
  std::map<std::string, NodeTraffic> known_;  // by kernel, grid and arguments
  std::vector<NodeTraffic> nodes_;
};

/// The name of a function of this program, without its namespaces and parameters; its address if the program
/// has no symbols.
std::string name_of_function(const void* function);

}  // namespace fovea::emulator
