#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "fovea/core/check.h"
#include "fovea/kernels/cuda/conv/key.h"

/// The trial that decides which of several ways to compute a convolution is taken.
namespace fovea::kernels::cuda {

/// A way to compute a convolution; `run` may throw a DeviceError if it cannot.
struct ConvCandidate {
  std::string name;
  std::function<void(ConvTensors&)> run;
};

/// The candidate that won, by its place in the list.
struct ConvWinner {
  size_t place;
  double seconds;
  bool is_final;  // false if one had no memory to run: with more another may win
};

/// How long one call of its argument takes on the device.
using Stopwatch = std::function<double(const std::function<void()>&)>;

/// The fastest of the candidates that give the right numbers, the same on every run; none if none does. Tries
/// each on noise, in the order of the list, until `most` were right. A candidate with wrong numbers is named
/// on stderr; one that cannot run is passed over. OutOfMemory if there is no winner for want of memory,
/// NoMemoryForTrial if nothing could be tried, DeviceLost if the device itself has failed.
std::optional<ConvWinner> fastest_candidate(const ConvKey& problem, Device device,
                                            const std::vector<ConvCandidate>& candidates, size_t most,
                                            const Stopwatch& seconds_of);

/// There is no memory for the numbers to try candidates on: nothing is known of any.
struct NoMemoryForTrial : OutOfMemory {
  using OutOfMemory::OutOfMemory;
};

/// The first of the candidates that gives the right numbers, by its place in the list; none if none does.
/// Each is run once, and the errors are those of fastest_candidate.
std::optional<size_t> first_right_candidate(const ConvKey& problem, Device device,
                                            const std::vector<ConvCandidate>& candidates);

/// Whether a candidate can be run on noise; its numbers are not looked at. OutOfMemory if that is why it
/// cannot, DeviceLost if the device itself has failed.
bool can_run(const ConvKey& problem, Device device, const ConvCandidate& candidate);

/// How far an element of the result may be from the reference's, by tolerance * (|it| + sqrt(terms)), when
/// factors are noise.
double conv_tolerance(const ConvKey& problem);

}  // namespace fovea::kernels::cuda
