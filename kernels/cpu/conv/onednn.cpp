#include "fovea/kernels/cpu/conv/onednn.h"

#include <algorithm>
#include <array>
#include <new>

#ifdef _OPENMP
#include <omp.h>
#endif

#include "fovea/core/allocator.h"
#include "fovea/core/check.h"
#include "fovea/kernels/cpu/conv/onednn_memory.h"
#include "fovea/kernels/cpu/conv/onednn_plan.h"

namespace fovea::kernels::cpu::onednn {
namespace {

using dnnl::memory;

Tensor bytes_for(const memory::desc& desc) {
  return Tensor::empty({std::max<int64_t>(1, static_cast<int64_t>(desc.get_size()))}, Dtype::u8);
}

/// oneDNN has one kind of memory, for what it reads and what it writes.
void* as_writable(const void* data) {
  return const_cast<void*>(data);
}

/// A null pointer: none yet.
memory view(const memory::desc& desc, const void* data) {
  const MemoryScope scope;
  return memory(desc, cpu_engine(), data == nullptr ? DNNL_MEMORY_NONE : as_writable(data));
}

void run_reorder(const Plan& plan, const memory::desc& from, const void* source, const memory::desc& to,
                 void* target) {
  const MemoryScope scope;
  memory from_memory = view(from, source), to_memory = view(to, target);
  dnnl::stream stream(cpu_engine());
  plan.reorder.execute(stream, {{DNNL_ARG_FROM, from_memory}, {DNNL_ARG_TO, to_memory}});
}

/// The plans of a pass over chunks: for as many units as the smallest has, and one more.
class ChunkPlans {
 public:
  ChunkPlans(ConvPass pass, const Chunks& chunks) : smallest_(chunks.smallest()) {
    for (int64_t count = chunks.smallest(); count <= chunks.largest(); ++count) {
      plans_[static_cast<size_t>(count - smallest_)] = plan_for(pass, chunks.problem(count));
    }
  }

  size_t slot_of(int64_t units) const { return static_cast<size_t>(units - smallest_); }
  /// Null: no chunk has so many.
  const Plan* at(size_t slot) const { return plans_[slot].get(); }
  const Plan& first() const { return *plans_[0]; }

 private:
  int64_t smallest_;
  std::array<std::shared_ptr<const Plan>, 2> plans_;
};
constexpr size_t kSlots = 2;

/// Runs the primitives of one pass on one thread. What they take is made once, because that costs as much as
/// convolving some hundred pixels.
class Primitives {
 public:
  /// `weights`: of each slot; undefined: set for each run.
  Primitives(const ChunkPlans& plans, const std::array<Tensor, kSlots>& weights) : plans_(plans) {
    const MemoryScope scope;
    stream_ = dnnl::stream(cpu_engine());
    int64_t bytes = 1;
    for (size_t slot = 0; slot < kSlots; ++slot) {
      const Plan* const plan = plans.at(slot);
      if (plan != nullptr) bytes = std::max(bytes, static_cast<int64_t>(plan->scratchpad.get_size()));
    }
    scratch_ = Tensor::empty({bytes}, Dtype::u8);
    for (size_t slot = 0; slot < kSlots; ++slot) {
      if (plans.at(slot) == nullptr) continue;
      const Plan& plan = *plans.at(slot);
      Arguments& arguments = arguments_[slot];
      arguments.x = view(plan.x, nullptr);  // set for each run
      arguments.y = view(plan.y, nullptr);
      arguments.weight = view(plan.weight, weights[slot].defined() ? weights[slot].raw() : nullptr);
      arguments.scratch = view(plan.scratchpad, scratch_.raw());
      arguments.list = {{{plan.x_argument, arguments.x.get()},
                         {plan.y_argument, arguments.y.get()},
                         {plan.weight_argument, arguments.weight.get()},
                         {DNNL_ARG_SCRATCHPAD, arguments.scratch.get()}}};
    }
  }

  /// x and y as the pass reads or writes them; weight, if not null, is written.
  void run(int64_t units, const float* x, const float* y, float* weight = nullptr) {
    const MemoryScope scope;
    const size_t slot = plans_.slot_of(units);
    Arguments& arguments = arguments_[slot];
    arguments.x.set_data_handle(as_writable(x));
    arguments.y.set_data_handle(as_writable(y));
    if (weight != nullptr) arguments.weight.set_data_handle(weight);
    dnnl::error::wrap_c_api(
        dnnl_primitive_execute(plans_.at(slot)->primitive.get(), stream_.get(),
                               static_cast<int>(arguments.list.size()), arguments.list.data()),
        "could not execute a primitive");
  }

 private:
  struct Arguments {
    memory x, y, weight, scratch;
    std::array<dnnl_exec_arg_t, 4> list;
  };

  const ChunkPlans& plans_;
  dnnl::stream stream_;  // of this thread alone, for as long as it is needed
  Tensor scratch_;
  std::array<Arguments, kSlots> arguments_;
};

class Conv final : public ChunkedConv {
 public:
  Conv(ConvPass pass, const Chunks& chunks, const Tensor& weight) : pass_(pass), plans_(pass, chunks) {
    for (size_t slot = 0; slot < kSlots; ++slot) {
      if (plans_.at(slot) == nullptr) continue;
      const Plan& plan = *plans_.at(slot);
      if (slot == 1 && plan.weight == plans_.first().weight) {
        weights_[1] = weights_[0];
      } else if (plan.needs_reorder) {
        weights_[slot] = bytes_for(plan.weight);
        run_reorder(plan, plan.plain_weight, weight.raw(), plan.weight, weights_[slot].raw());
      } else {
        weights_[slot] = weight;
      }
    }
  }

  std::unique_ptr<ChunkRunner> runner() const override { return std::make_unique<Runner>(*this); }

 private:
  class Runner final : public ChunkRunner {
   public:
    explicit Runner(const Conv& conv)
        : is_forward_(conv.pass_ == ConvPass::forward), primitives_(conv.plans_, conv.weights_) {}
    void run(int64_t units, const float* from, float* to) override {
      is_forward_ ? primitives_.run(units, from, to) : primitives_.run(units, to, from);
    }

   private:
    bool is_forward_;
    Primitives primitives_;
  };

  ConvPass pass_;
  ChunkPlans plans_;
  std::array<Tensor, kSlots> weights_;
};

class FilterGradient final : public ChunkedFilterGradient {
 public:
  explicit FilterGradient(const Chunks& chunks) : plans_(ConvPass::backward_weight, chunks) {
    const Plan* const larger = plans_.at(1);
    check(larger == nullptr || larger->weight == plans_.first().weight,
          "conv: oneDNN wants different layouts of the weights' gradient for ", chunks.smallest(), " and ",
          chunks.largest(), " units of ", chunks.whole());
  }

  std::unique_ptr<FilterGradientSum> sum() const override { return std::make_unique<Sum>(*this); }
  int64_t size() const override {
    return static_cast<int64_t>(plans_.first().weight.get_size() / sizeof(float));
  }
  Tensor sum_for(const Tensor& dweight) const override {
    return plans_.first().needs_reorder ? Tensor::empty({size()}) : dweight;
  }
  void to_plain(const Tensor& sum, Tensor& dweight) const override {
    const Plan& plan = plans_.first();
    if (plan.needs_reorder) run_reorder(plan, plan.weight, sum.raw(), plan.plain_weight, dweight.raw());
  }

 private:
  class Sum final : public FilterGradientSum {
   public:
    explicit Sum(const FilterGradient& gradient) : size_(gradient.size()), primitives_(gradient.plans_, {}) {}

    void begin(float* total) override {
      total_ = total;
      is_first_ = true;
    }
    void add(int64_t units, const float* x, const float* dy) override {
      if (is_first_) {
        primitives_.run(units, x, dy, total_);
      } else {
        if (!part_.defined()) part_ = Tensor::empty({size_});
        float* const part = part_.data<float>();
        primitives_.run(units, x, dy, part);
        for (int64_t i = 0; i < size_; ++i) total_[i] += part[i];
      }
      is_first_ = false;
    }
    void end() override {}

   private:
    int64_t size_;
    Primitives primitives_;
    Tensor part_;  // of the chunk last added
    float* total_ = nullptr;
    bool is_first_ = true;
  };

  ChunkPlans plans_;
};

/// OpenMP reports one thread to oneDNN while this lives.
class SingleThread {
 public:
#ifdef _OPENMP
  SingleThread() : before_(omp_get_max_threads()) {
    omp_set_num_threads(1);
  }
  ~SingleThread() {
    omp_set_num_threads(before_);
  }
#else
  SingleThread() = default;
#endif
  SingleThread(const SingleThread&) = delete;
  SingleThread& operator=(const SingleThread&) = delete;

 private:
  int before_ = 1;
};

[[noreturn]] void throw_out_of_memory(const char* operation, const ConvProblem& problem) {
  const MemoryStats memory = memory_stats();
  throw OutOfMemory(fovea::str(operation, ": oneDNN has no memory for ", problem, ": ", memory.in_use,
                               " bytes of tensors are in use on the CPU and ", memory.cached,
                               " cached; try a smaller batch size"));
}

}  // namespace

std::unique_ptr<ChunkedConv> conv(ConvPass pass, const Chunks& chunks, const Tensor& weight) {
  return std::make_unique<Conv>(pass, chunks, weight);
}

std::unique_ptr<ChunkedFilterGradient> filter_gradient(const Chunks& chunks) {
  return std::make_unique<FilterGradient>(chunks);
}

void call(const char* operation, const ConvProblem& problem, const std::function<void()>& body) {
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
