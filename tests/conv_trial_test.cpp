#include <bit>
#include <catch2/catch.hpp>
#include <iostream>
#include <memory>
#include <sstream>

#include "fovea/kernels/cuda/conv/check.h"
#include "fovea/kernels/cuda/conv/reference.h"
#include "fovea/kernels/cuda/conv/trial.h"
#include "has_device.h"

using namespace fovea;
using kernels::ConvPass;
using kernels::cuda::conv_reference;
using kernels::cuda::ConvCandidate;
using kernels::cuda::ConvKey;
using kernels::cuda::ConvTensors;
using kernels::cuda::ConvWinner;
using test::has_device;

namespace {

/// A trial of pretended engines, whose times are given, and what it says on stderr.
class Trial {
 public:
  explicit Trial(const ConvKey& problem) : problem_(problem) {}

  void add(const std::string& name, double seconds, const std::function<void(ConvTensors&)>& run) {
    candidates_.push_back({name, [=, this](ConvTensors& tensors) {
                             run(tensors);
                             seconds_ = seconds;
                           }});
  }
  /// A candidate that computes the convolution; `spoil` may change the result.
  void add_right(
      const std::string& name, double seconds, const std::function<void(Tensor&)>& spoil = [](Tensor&) {}) {
    add(name, seconds, [=, this](ConvTensors& tensors) {
      conv_reference(problem_, tensors);
      spoil(tensors.result(problem_.pass));
    });
  }
  std::string winner(size_t most = 16) {
    std::ostringstream said;
    const std::shared_ptr<std::streambuf> before(std::cerr.rdbuf(said.rdbuf()),
                                                 [](std::streambuf* buffer) { std::cerr.rdbuf(buffer); });
    const std::optional<ConvWinner> found =
        fastest_candidate(problem_, Device::cuda(), candidates_, most, [this](const auto& body) {
          body();
          ++timed;
          return seconds_;
        });
    errors = said.str();
    if (!found) return "none";
    CHECK(found->seconds > 0);
    is_final = found->is_final;
    return candidates_[found->place].name;
  }

  std::string errors;
  int timed = 0;
  bool is_final = false;  // the last winner

 private:
  ConvKey problem_;
  std::vector<ConvCandidate> candidates_;
  double seconds_ = 0;
};

ConvKey example(ConvPass pass, Dtype dtype) {
  return {{2, 5, 5, 3, 4, 3, 3, 1, 1}, pass, dtype, false};
}

/// Makes one element wrong by 1.
void change_one(Tensor& result) {
  Tensor on_cpu = result.to(Device::cpu());
  visit_floating("test", result.dtype(), [&]<class T>() {
    T& element = on_cpu.data<T>()[result.size() / 2];
    element = T(static_cast<float>(element) + 1);
  });
  result.copy_from(on_cpu);
}

constexpr ConvPass kPasses[] = {ConvPass::forward, ConvPass::backward_input, ConvPass::backward_weight};

}  // namespace

TEST_CASE("conv_trial: the fastest wins") {
  if (!has_device()) return;
  for (const ConvPass pass : kPasses) {
    for (const Dtype dtype : {Dtype::f32, Dtype::bf16, Dtype::f16}) {
      Trial trial(example(pass, dtype));
      trial.add_right("slow", 3);
      trial.add_right("fast", 1);
      trial.add_right("middling", 2);
      CHECK(trial.winner() == "fast");
      CHECK(trial.timed == 3);
      CHECK(trial.errors.empty());
    }
  }
}

TEST_CASE("conv_trial: what gives wrong numbers is named and left out, however fast") {
  if (!has_device()) return;
  for (const ConvPass pass : kPasses) {
    for (const Dtype dtype : {Dtype::f32, Dtype::bf16, Dtype::f16}) {
      Trial trial(example(pass, dtype));
      trial.add("lazy", 1, [](ConvTensors&) {});
      trial.add_right("wrong", 1, change_one);
      trial.add_right("right", 3);
      CHECK(trial.winner() == "right");
      CHECK(trial.timed == 1);
      CHECK(trial.errors.find("lazy is left out: ") != std::string::npos);
      CHECK(trial.errors.find("wrong is left out: 1 of its numbers") != std::string::npos);
    }
  }
}

TEST_CASE("conv_trial: what gives other bits on a second run is left out") {
  if (!has_device()) return;
  const ConvKey problem = example(ConvPass::forward, Dtype::f32);
  int run = 0;
  Trial trial(problem);
  trial.add_right("chaotic", 1, [&](Tensor& result) {
    Tensor on_cpu = result.to(Device::cpu());
    float& element = on_cpu.data<float>()[7];
    element = std::bit_cast<float>(std::bit_cast<uint32_t>(element) + static_cast<uint32_t>(run++ % 2));
    result.copy_from(on_cpu);
  });
  trial.add_right("steady", 2);
  CHECK(trial.winner() == "steady");
  CHECK(trial.errors.find("chaotic is left out: a second run") != std::string::npos);
}

TEST_CASE("conv_trial: what cannot run is passed over, and nothing may be left") {
  if (!has_device()) return;
  Trial trial(example(ConvPass::backward_weight, Dtype::bf16));
  CHECK(trial.winner() == "none");
  trial.add("impossible", 1, [](ConvTensors&) { throw DeviceError("cudnn: not supported"); });
  CHECK(trial.winner() == "none");
  CHECK(trial.errors.empty());
  trial.add_right("possible", 1);
  CHECK(trial.winner() == "possible");
}

TEST_CASE("conv_trial: a winner among what had memory is not final, and without one there is an error") {
  if (!has_device()) return;
  Trial trial(example(ConvPass::forward, Dtype::bf16));
  trial.add("large", 1,
            [](ConvTensors& tensors) { Tensor::empty({int64_t{1} << 50}, Dtype::u8, tensors.x.device()); });
  CHECK_THROWS_AS(trial.winner(), OutOfMemory);
  trial.add_right("small", 1);
  CHECK(trial.winner() == "small");
  CHECK_FALSE(trial.is_final);
  Trial without(example(ConvPass::forward, Dtype::bf16));
  without.add_right("small", 1);
  CHECK(without.winner() == "small");
  CHECK(without.is_final);
}

TEST_CASE("conv_trial: no more than wanted are tried, unless they are wrong") {
  if (!has_device()) return;
  Trial trial(example(ConvPass::forward, Dtype::f16));
  trial.add_right("wrong", 1, change_one);
  trial.add_right("first", 3);
  trial.add_right("second", 2);
  trial.add_right("third", 1);
  CHECK(trial.winner(2) == "second");
  CHECK(trial.timed == 2);
}

TEST_CASE("conv_trial: tolerance grows with the terms, and is strict where f32 is") {
  ConvKey problem = example(ConvPass::forward, Dtype::f32);
  const double strict = conv_tolerance(problem);
  CHECK(strict < 1e-5);
  problem.tf32 = true;
  CHECK(conv_tolerance(problem) > 100 * strict);
  problem.tf32 = false;
  problem.C = 4096;
  CHECK(conv_tolerance(problem) > strict);
}
