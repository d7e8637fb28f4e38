#pragma once

#include <array>
#include <cstdint>
#include <dnnl.hpp>
#include <memory>
#include <new>
#include <vector>

#include "fovea/core/check.h"
#include "fovea/core/tensor.h"
#include "fovea/kernels/cpu/conv_problem.h"
#include "fovea/kernels/cpu/rows.h"
#include "fovea/kernels/cpu/winograd.h"

/// f32 convolutions of a few images on one thread, by oneDNN, and of 3x3 by Winograd's form where it suits.
///
/// A batch is cut into chunks whose size comes from the shape alone. Each is computed on one thread, by a
/// primitive made for one thread: so the result does not depend on the number of threads, and a chunk stays
/// in the thread's L2 cache, where these primitives run at 80 to 95% of what the core can multiply (measured
/// on Zen 5 at the shapes of the zoo). Winograd's form has cut its tiles smaller still, but filters of 128
/// channels and more come from the L3 cache.
namespace fovea::kernels::cpu::onednn {

enum class Pass { forward, backward_input, backward_weight };

/// A batch cut into chunks of nearly equal size: of whole images, or, where every pixel is convolved by
/// itself, of rows of pixels.
class Cut {
 public:
  /// `floats_per_x` and `floats_per_y`: what a chunk holds at once for every number of x and of y; 0: nothing
  /// that has to stay in the cache. The chunks make up `groups` groups, or as many as there are units.
  Cut(const ConvProblem& problem, int64_t floats_per_x, int64_t floats_per_y, int64_t groups);

  /// Whole images, of which a chunk holds `floats_per_image` at once.
  static Cut images(const ConvProblem& problem, int64_t floats_per_image);
  /// Whole images, as many in each chunk as in those of `other`.
  static Cut images(const ConvProblem& problem, const Cut& other);

  int64_t chunks() const { return chunks_; }
  int64_t groups() const { return groups_; }
  int64_t chunks_per_group() const { return chunks_ / groups_; }
  /// Units of chunk `chunk`: each has `smallest()` of them or one more.
  Range units(int64_t chunk) const { return {units_ * chunk / chunks_, units_ * (chunk + 1) / chunks_}; }
  int64_t smallest() const { return units_ / chunks_; }
  int64_t largest() const { return (units_ + chunks_ - 1) / chunks_; }
  /// Numbers of x and of y in a unit.
  int64_t x_unit() const { return x_unit_; }
  int64_t y_unit() const { return y_unit_; }
  /// The problem for `count` units.
  ConvProblem of(int64_t count) const;
  const ConvProblem& whole() const { return whole_; }

 private:
  Cut(const ConvProblem& problem, bool by_rows);
  void choose_chunks(int64_t bytes_per_unit, int64_t groups);

  ConvProblem whole_;
  bool by_rows_;
  int64_t units_, x_unit_, y_unit_, groups_ = 1, chunks_ = 1;
};

struct Plan;

/// One pass over the chunks of a cut, for all threads.
class ChunkConv {
 public:
  /// Whether the chunks are convolved by Winograd's form: then all threads bring the weights into it.
  static bool takes_winograd(const Cut& cut);
  /// Plans, and brings `weight` into the layout that the passes forward and backward_input want.
  ChunkConv(Pass pass, const Cut& cut, const Tensor& weight);

  bool is_winograd() const { return plans_[0] == nullptr; }
  /// Of backward_weight: numbers in a gradient, whether they lie as [K, R, S, C], and the way there.
  int64_t weight_count() const;
  bool is_plain() const;
  void to_plain(const Tensor& gradient, Tensor& dweight) const;

 private:
  friend class ChunkRunner;
  friend class WeightSum;

  Pass pass_;
  ConvProblem whole_;
  int64_t smallest_;
  std::array<std::shared_ptr<const Plan>, 2> plans_;  // for `smallest_` units, and one more
  std::array<Tensor, 2> weights_;
};

/// What one thread needs to run a ChunkConv.
class ChunkRunner {
 public:
  explicit ChunkRunner(const ChunkConv& conv);

  /// The pass over `count` units: forward x -> y, backward_input y -> x, backward_weight x, y -> weight,
  /// where `weight` has weight_count() numbers in a layout of oneDNN's. That of Winograd's form: see
  /// WeightSum.
  void operator()(int64_t count, const float* x, const float* y, float* weight = nullptr);

 private:
  /// Made once, because it costs as much as convolving some hundred pixels.
  struct Arguments {
    dnnl::memory x, y, weight, scratch;
    std::array<dnnl_exec_arg_t, 4> list;
  };

  const ChunkConv& conv_;
  winograd::Runner winograd_;
  dnnl::stream stream_;  // of this thread alone, for as long as it is needed
  Tensor scratch_;
  std::array<Arguments, 2> arguments_;
};

/// The gradient of the weights over several chunks, added up by one thread.
class WeightSum {
 public:
  explicit WeightSum(const ChunkConv& conv);
  /// Starts a sum in `total`, weight_count() numbers, which holds it after `end`.
  void begin(float* total);
  void add(int64_t count, const float* x, const float* dy);
  void end();

 private:
  const ChunkConv& conv_;
  ChunkRunner run_;
  Tensor part_;  // of the chunk last added
  winograd::Runner winograd_;
  Tensor filters_;  // the sum in Winograd's form
  float* total_ = nullptr;
  bool is_first_ = true;
};

/// The sum of `groups` arrays of weight_count() numbers, in order, as dweight.
void add_groups(const ChunkConv& conv, int64_t groups, const Tensor& partials, Tensor& dweight);

/// oneDNN plans for, and runs with, the number of threads that OpenMP reports: one, while this lives.
class SingleThread {
 public:
  SingleThread();
  ~SingleThread();
  SingleThread(const SingleThread&) = delete;
  SingleThread& operator=(const SingleThread&) = delete;

 private:
  int before_ = 1;
};

/// OutOfMemory: what was planned or run, and how much memory is in use.
[[noreturn]] void throw_out_of_memory(const char* operation, const ConvProblem& problem);

/// Calls body with oneDNN set to one thread, and turns its errors into ours, with the problem.
template <class Body>
void call_onednn(const char* operation, const ConvProblem& problem, Body&& body) {
  const SingleThread single_thread;
  try {
    body();
  } catch (const std::bad_alloc&) {
    throw_out_of_memory(operation, problem);
  } catch (const dnnl::error& error) {
    if (error.status == dnnl_out_of_memory) throw_out_of_memory(operation, problem);
    throw Error(fovea::str(operation, ": oneDNN says \"", error.what(), "\" for ", problem));
  }
}

}  // namespace fovea::kernels::cpu::onednn
