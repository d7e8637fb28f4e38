// A child made by fork has only the thread that made it: no lock may stay with one that it does not have.
#include "fovea/core/fork.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "fovea/core/allocator.h"
#include "fovea/core/autograd.h"
#include "fovea/core/check.h"
#include "fovea/core/profile.h"
#include "fovea/data/loader.h"
#include "fovea/data/synthetic.h"
#include "fovea/layers/functional.h"

using namespace fovea;

namespace {

/// The exit status of a child that runs `body`: 0 if it returns true, 14 + 128 if it hangs.
int status_of_child(const std::function<bool()>& body) {
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGALRM, SIG_DFL);
    alarm(60);  // far more than the work takes
    bool is_right = false;
    try {
      is_right = body();
    } catch (...) {
    }
    _exit(is_right ? 0 : 1);
  }
  REQUIRE(child > 0);
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/// A convolution of an image of `size` pixels, which needs a plan of its own; right if it is.
bool convolve(int64_t size) {
  const NoGrad no_grad;
  const Variable x(Tensor::full({1, size, size, 8}, 1));
  const Variable weight(Tensor::full({8, 1, 1, 8}, 0.5));
  const Variable y = F::conv(x, weight, /*bias=*/{}, /*stride=*/1, /*padding=*/0);
  const Variable z = F::add(F::relu(y), y);
  return z.value().size() == 8 * size * size && z.value().data<float>()[size] == 8;
}

/// Blocks of all kinds: of malloc, of a size class, and large ones.
bool allocate_blocks() {
  bool is_right = true;
  std::vector<Tensor> tensors;
  for (const int64_t bytes : {1, 600, 5000, 70000, 300000, 1 << 21}) {
    tensors.push_back(Tensor::full({bytes}, 3, Dtype::u8));
    is_right = is_right && tensors.back().data<uint8_t>()[bytes - 1] == 3;
  }
  return is_right;
}

/// Work that threads share.
bool compute_in_parallel() {
  const NoGrad no_grad;
  const Variable y = F::relu(Variable(Tensor::full({1 << 19}, 2)));
  return y.value().data<float>()[(1 << 19) - 1] == 2;
}

/// Threads that call a function over and over while this lives.
class Busy {
 public:
  explicit Busy(const std::vector<std::function<void()>>& bodies) {
    for (const auto& body : bodies) {
      threads_.emplace_back([this, body] {
        while (!is_over_) body();
      });
    }
  }
  ~Busy() {
    is_over_ = true;
    for (std::thread& thread : threads_) thread.join();
  }

 private:
  std::atomic<bool> is_over_{false};
  std::vector<std::thread> threads_;
};

}  // namespace

TEST_CASE("fork: a child made while other threads allocate and plan computes") {
  set_profiling(true);
  std::atomic<int64_t> size{2};
  const Busy busy({[] { allocate_blocks(); }, [] { allocate_blocks(); }, [] { release_cached_memory(); },
                   [&] { convolve(1 + ++size % 64); }, [] { set_profiling(true); }});
  for (int64_t round = 0; round < 60; ++round) {
    INFO("round " << round);
    REQUIRE(status_of_child([&] {
              // Sizes that are planned for, and one that is not.
              return allocate_blocks() && convolve(1 + round % 64) && convolve(65 + round % 7) &&
                     compute_in_parallel() && memory_stats().in_use >= 0 && !profiled_calls().empty();
            }) == 0);
  }
  set_profiling(false);
}

TEST_CASE("fork: locks are taken in one order, and given back on both sides") {
  static std::string calls;
  static const ForkLock inner{ForkOrder::cpu_memory, [] { calls += 'm'; }, [] { calls += 'M'; }};
  static const ForkLock outer{ForkOrder::conv_plans, [] { calls += 'c'; }, [] { calls += 'C'; }};
  calls.clear();
  CHECK(status_of_child([] { return calls == "cmMC"; }) == 0);
  CHECK(calls == "cmMC");
}

TEST_CASE("fork: a loader says in a child that its thread is not there, and can be destroyed") {
  const ImageSet images = synthetic_images(Split::train, /*count=*/64, /*seed=*/1);
  const ImageNormalisation normalisation = normalisation_of(images);
  for (int round = 0; round < 20; ++round) {
    auto loader = std::make_unique<Loader>(images, normalisation, LoaderSettings{.batch_size = 8});
    if (round % 2 == 0) loader->next();
    CHECK(status_of_child([&] {
            int refused = 0;
            for (const bool seeks : {false, true}) {
              try {
                if (seeks) {
                  loader->seek(0, 0);
                } else {
                  loader->next();
                }
              } catch (const UsageError& error) {
                refused += std::string(error.what()).find("made before fork") != std::string::npos ? 1 : 0;
              }
            }
            loader.reset();
            Loader own(images, normalisation, LoaderSettings{.batch_size = 8});
            return refused == 2 && own.next().labels.shape(0) == 8;
          }) == 0);
    loader->next();
  }
}
