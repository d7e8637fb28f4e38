#include "fovea/kernels/cuda/conv/trial.h"

#include <algorithm>
#include <cmath>
#include <iostream>

#include "fovea/core/check.h"
#include "fovea/core/cuda/runtime.h"
#include "fovea/core/cuda_backend.h"
#include "fovea/kernels/cuda/conv/check.h"
#include "fovea/kernels/cuda/conv/reference.h"

namespace fovea::kernels::cuda {
namespace {

/// A convolution of noise. NoMemoryForTrial if there is none for it.
class Trial {
 public:
  Trial(const ConvKey& problem, Device device) : problem_(problem) {
    with_memory([&] {
      tensors_ = {noise(problem.x(), device, 1), noise(problem.weight(), device, 2),
                  noise(problem.y(), device, 3)};
    });
  }

  void run(const ConvCandidate& candidate) { candidate.run(tensors_); }

  /// Computes what it should give; to be called before what follows.
  void want_reference() {
    with_memory([&] {
      wanted_ = Tensor::empty_like(tensors_.result(problem_.pass));
      first_ = Tensor::empty_like(wanted_);
    });
    run_into(wanted_, [&](ConvTensors& tensors) { conv_reference(problem_, tensors); });
  }

  /// Runs a candidate, and counts the elements that are wrong.
  int64_t wrong_numbers(const ConvCandidate& candidate) {
    const cudaStream_t stream = fovea::cuda::current_stream();
    // What is not written stays NaN.
    fovea::cuda::check_cuda(cudaMemsetAsync(first_.raw(), 0xff, first_.bytes(), stream), "conv: trial");
    run_into(first_, candidate.run);
    return count_differences(first_, wanted_, conv_tolerance(problem_),
                             std::sqrt(static_cast<double>(problem_.terms())));
  }

  /// Times the candidate that has just run.
  double seconds(const ConvCandidate& candidate, const Stopwatch& seconds_of) {
    return seconds_of([&] { candidate.run(tensors_); });
  }

  /// Whether the candidate that was timed has written the numbers of its first run.
  bool is_repeated() { return count_differences(tensors_.result(problem_.pass), first_, 0, 0) == 0; }

 private:
  static void with_memory(const std::function<void()>& allocate) {
    try {
      allocate();
    } catch (const OutOfMemory& error) {
      throw NoMemoryForTrial(error.what());
    }
  }

  Tensor noise(const Shape& shape, Device device, uint64_t seed) const {
    Tensor x = Tensor::empty(shape, problem_.dtype, device);
    fill_with_noise(x, seed);
    return x;
  }

  void run_into(const Tensor& result, const std::function<void(ConvTensors&)>& body) {
    ConvTensors tensors = tensors_;
    tensors.result(problem_.pass) = result;
    body(tensors);
  }

  ConvKey problem_;
  ConvTensors tensors_;
  Tensor wanted_, first_;
};

void say(const ConvKey& problem, const ConvCandidate& candidate, const std::string& fault) {
  std::cerr << "fovea: " << problem.str() << ": " << candidate.name << " is left out: " << fault << std::endl;
}

bool is_right(Trial& trial, const ConvKey& problem, const ConvCandidate& candidate) {
  const int64_t wrong = trial.wrong_numbers(candidate);
  if (wrong > 0) say(problem, candidate, str(wrong, " of its numbers are wrong"));
  return wrong == 0;
}

enum class Outcome { good, bad, no_memory };

/// What came of an attempt to run a candidate, which says whether it is any good.
Outcome outcome_of(Device device, const std::function<bool()>& attempt) {
  try {
    return attempt() ? Outcome::good : Outcome::bad;
  } catch (const OutOfMemory&) {
    return Outcome::no_memory;
  } catch (const DeviceLost&) {
    throw;
  } catch (const DeviceError&) {
    // It cannot run here; there are others. But if the device has failed, all that follow would, too.
    fovea::cuda::synchronize(device.index);
    return Outcome::bad;
  }
}

}  // namespace

double conv_tolerance(const ConvKey& problem) {
  const double terms = static_cast<double>(problem.terms());
  const bool is_exact = problem.dtype == Dtype::f32 && !problem.tf32;
  // Two results may be rounded to neighbouring numbers of the dtype; TF32 has factors of 10 bits instead, and
  // their errors add up like the products themselves, six deviations at most.
  const double rounding = problem.dtype == Dtype::bf16  ? 0x1p-7
                          : problem.dtype == Dtype::f16 ? 0x1p-10
                          : problem.tf32                ? 0x1p-8
                                                        : 0x1p-22;
  // Rounding errors of an f32 sum grow with the root of its terms; tensor cores cut off instead, always
  // towards zero, each time they add at least 8 products.
  const double summing =
      is_exact ? 0x1p-22 * std::sqrt(terms) : 0x1p-23 * std::max(4 * std::sqrt(terms), terms / 8);
  return rounding + summing;
}

std::optional<ConvWinner> fastest_candidate(const ConvKey& problem, Device device,
                                            const std::vector<ConvCandidate>& candidates, size_t most,
                                            const Stopwatch& seconds_of) {
  Trial trial(problem, device);
  trial.want_reference();
  std::optional<ConvWinner> winner;
  size_t right = 0;
  bool had_memory = true;
  for (size_t place = 0; place < candidates.size() && right < most; ++place) {
    const ConvCandidate& candidate = candidates[place];
    const Outcome outcome = outcome_of(device, [&] {
      if (!is_right(trial, problem, candidate)) return false;
      const double seconds = trial.seconds(candidate, seconds_of);
      if (!trial.is_repeated()) {
        say(problem, candidate, "a second run gives other bits");
        return false;
      }
      if (!winner || seconds < winner->seconds) winner = {place, seconds, /*is_final=*/true};
      return true;
    });
    if (outcome == Outcome::good) ++right;
    if (outcome == Outcome::no_memory) had_memory = false;
  }
  check<OutOfMemory>(winner || had_memory, "conv: there is no memory to try the candidates");
  if (winner) winner->is_final = had_memory;
  return winner;
}

std::optional<size_t> first_right_candidate(const ConvKey& problem, Device device,
                                            const std::vector<ConvCandidate>& candidates) {
  Trial trial(problem, device);
  trial.want_reference();
  bool had_memory = true;
  for (size_t place = 0; place < candidates.size(); ++place) {
    const Outcome outcome = outcome_of(device, [&] { return is_right(trial, problem, candidates[place]); });
    if (outcome == Outcome::good) return place;
    if (outcome == Outcome::no_memory) had_memory = false;
  }
  check<OutOfMemory>(had_memory, "conv: there is no memory to try the candidates");
  return {};
}

bool can_run(const ConvKey& problem, Device device, const ConvCandidate& candidate) {
  Trial trial(problem, device);
  const Outcome outcome = outcome_of(device, [&] {
    trial.run(candidate);
    fovea::cuda::synchronize(device.index);
    return true;
  });
  check<OutOfMemory>(outcome != Outcome::no_memory, "conv: there is no memory to try ", candidate.name);
  return outcome == Outcome::good;
}

}  // namespace fovea::kernels::cuda
