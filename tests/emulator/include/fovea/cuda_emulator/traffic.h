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
/// and are noted, so that bytes count once a node and way, as if a cache kept what the node touches again. Of
/// kernels with the same grid and arguments but for where pointers point, only the first runs: what moves
/// must not depend on values. Copies, fills and libraries' calls count their tensors.
///
/// A graph that is too large to run is projected from one of the same work on fewer images that was measured:
/// of a block of memory each kernel reads and writes the same share, and blocks have the sizes that they
/// have.
class TrafficMeter {
 public:
  enum class Mode { measure, project };

  TrafficMeter();
  ~TrafficMeter();
  TrafficMeter(const TrafficMeter&) = delete;
  TrafficMeter& operator=(const TrafficMeter&) = delete;

  /// The one that lives, or null.
  static TrafficMeter* current();
  /// What replays do from now on; at first they measure.
  void set_mode(Mode mode) { mode_ = mode; }
  /// Where a kernel is to be projected of which none was measured, it runs.
  void replay(const Work& work);
  /// Of what was replayed since the last call, in order.
  std::vector<NodeTraffic> take();

 private:
  /// What a kernel does with a block of memory that one of its arguments points into.
  struct Share {
    size_t argument;  // where the first pointer into it lies
    bool is_kept;     // the block was there before the meter: of a size of its own, and perhaps of several
                      // tensors
    double read, written;  // of the block
  };
  using Shares = std::vector<Share>;

  Shares measured(const Work& work) const;
  /// Null if no such kernel was measured.
  const Shares* projected(const Work& work) const;
  void note(const Work& work, const Shares& shares);

  Mode mode_ = Mode::measure;
  uint64_t kept_blocks_;
  std::map<std::string, Shares> known_;    // by kernel, grid and arguments
  std::map<std::string, Shares> samples_;  // by kernel and where its arguments point, more and less exactly
  std::vector<NodeTraffic> nodes_;
};

/// The name of a function of this program, without its namespaces and parameters; its address if the program
/// has no symbols.
std::string name_of_function(const void* function);

}  // namespace fovea::emulator
