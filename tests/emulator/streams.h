#pragma once

#include <cstdint>
#include <vector>

#include "emulator.h"

/// What a capture has recorded, in the order of the calls, and what is made of it to be launched.
struct EmulatedGraph {
  std::vector<fovea::emulator::Work> work;
};
struct EmulatedGraphExec {
  std::vector<fovea::emulator::Work> work;
};

namespace fovea::emulator {

/// Whether any stream is being captured, or one of the device of `stream`.
bool is_capturing();
bool is_capturing_beside(cudaStream_t stream);
/// The device of this thread, on which streams are created.
int& current_device();
/// Runs all that is queued on all streams; what it throws comes out of the next call that waits. Counted
/// while a stream is being captured.
void drain_all() noexcept;
/// Notes that the captures under way cannot be kept, because of a call that CUDA refuses then.
cudaError_t refuse_capture(cudaError_t error);
/// For set_schedule.
void seed_streams(uint64_t seed);
/// For fail_device: one more kernel or copy has run.
void count_run();

}  // namespace fovea::emulator
