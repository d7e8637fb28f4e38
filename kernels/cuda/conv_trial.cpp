#include "fovea/kernels/cuda/conv_trial.h"

#include <algorithm>
#include <cmath>
#include <iostream>

#include "fovea/core/check.h"
#include "fovea/core/cuda/runtime.h"
#include "fovea/core/cuda_backend.h"
#include "fovea/kernels/cuda/conv_check.h"
#include "fovea/kernels/cuda/conv_reference.h"

namespace fovea::kernels::cuda {
namespace {

/// A convolution of noise, and what it should give.
class Trial {
 public:
  Trial(const ConvProblem& problem, Device device)
      : problem_(problem),
        tensors_{noise(problem.x(), device, 1), noise(problem.weight(), device, 2),
                 noise(problem.y(), device, 3)},
        wanted_(Tensor::empty_like(tensors_.result(problem.pass))),
        first_(Tensor::empty_like(wanted_)) {
    run(wanted_, [&](ConvTensors& tensors) { conv_reference(problem_, tensors); });
  }

  /// Runs a candidate, and counts the elements that are wrong.
  int64_t wrong_numbers(const ConvCandidate& candidate) {
    const cudaStream_t stream = fovea::cuda::current_stream();
    // What is not written stays NaN.
    fovea::cuda::check_cuda(cudaMemsetAsync(first_.raw(), 0xff, first_.bytes(), stream), "conv: trial");
    run(first_, candidate.run);
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
  Tensor noise(const Shape& shape, Device device, uint64_t seed) const {
    Tensor x = Tensor::empty(shape, problem_.dtype, device);
    fill_with_noise(x, seed);
    return x;
  }

  void run(const Tensor& result, const std::function<void(ConvTensors&)>& body) {
    ConvTensors tensors = tensors_;
    tensors.result(problem_.pass) = result;
    body(tensors);
  }

  ConvProblem problem_;
  ConvTensors tensors_;
  Tensor wanted_, first_;
};

void say(const ConvProblem& problem, const ConvCandidate& candidate, const std::string& fault) {
  std::cerr << "fovea: " << problem.str() << ": " << candidate.name << " is left out: " << fault << std::endl;
}

}  // namespace

double conv_tolerance(const ConvProblem& problem) {
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

std::optional<ConvWinner> fastest_candidate(const ConvProblem& problem, Device device,
                                            const std::vector<ConvCandidate>& candidates, size_t most,
                                            const Stopwatch& seconds_of) {
  Trial trial(problem, device);
  std::optional<ConvWinner> winner;
  size_t right = 0;
  bool had_memory = true;
  for (size_t place = 0; place < candidates.size() && right < most; ++place) {
    const ConvCandidate& candidate = candidates[place];
    try {
      if (const int64_t wrong = trial.wrong_numbers(candidate); wrong > 0) {
        say(problem, candidate, str(wrong, " of its numbers are wrong"));
        continue;
      }
      const double seconds = trial.seconds(candidate, seconds_of);
      if (!trial.is_repeated()) {
        say(problem, candidate, "a second run gives other bits");
        continue;
      }
      ++right;
      if (!winner || seconds < winner->seconds) winner = {place, seconds, /*is_final=*/true};
    } catch (const OutOfMemory&) {
      had_memory = false;
    } catch (const DeviceError&) {
      // It cannot run here; there are others. But if the device has failed, all that follow would, too.
      fovea::cuda::synchronize(device.index);
    }
  }
  check<OutOfMemory>(winner || had_memory, "conv: there is no memory to try the candidates");
  if (winner) winner->is_final = had_memory;
  return winner;
}

}  // namespace fovea::kernels::cuda
