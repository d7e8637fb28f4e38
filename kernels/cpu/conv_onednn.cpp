#include "fovea/kernels/cpu/conv_onednn.h"

#include <algorithm>
#include <array>
#include <dnnl.hpp>
#include <map>
#include <memory>
#include <mutex>
#include <tuple>

#ifdef _OPENMP
#include <omp.h>
#endif

#include "fovea/core/check.h"
#include "fovea/core/parallel_for.h"

// The batch is cut into chunks whose size comes from the shape alone. Each chunk is computed on one thread by
// a oneDNN primitive made for one thread, and partial weight gradients are added in a fixed order: so the
// result does not depend on the number of threads, and a chunk's images stay in the thread's L2 cache.
// Measured on two Zen 5 cores this is as fast as oneDNN's own threading.
namespace fovea::kernels::cpu::onednn {
namespace {

using dnnl::memory;

constexpr int64_t kChunkBytes = 512 << 10;  // input and output of one forward chunk: half of a 1 MB L2 cache
constexpr int64_t kWeightGroups = 8;        // partial weight gradients, so up to 8 threads share that work

enum class Pass { forward, backward_input, backward_weight };

/// Everything that a primitive depends on.
struct Problem {
  Pass pass;
  int64_t N, H, W, C, K, R, S, stride, padding;

  int64_t P() const { return (H + 2 * padding - R) / stride + 1; }
  int64_t Q() const { return (W + 2 * padding - S) / stride + 1; }
  friend auto operator<=>(const Problem&, const Problem&) = default;
};

const dnnl::engine& cpu_engine() {
  static const auto* engine = new dnnl::engine(dnnl::engine::kind::cpu, 0);
  return *engine;
}

dnnl::stream& thread_stream() {
  thread_local dnnl::stream stream(cpu_engine());
  return stream;
}

/// A primitive for one problem, and the reorder between our weights and the layout that it wants.
struct Plan {
  dnnl::primitive primitive;
  memory::desc x, y, weight, scratchpad;
  memory::desc plain_weight;  // [K, R, S, C]
  dnnl::primitive reorder;    // forward and backward_input: plain -> weight; backward_weight: weight -> plain
  bool needs_reorder = false;
};

/// oneDNN plans for, and runs with, the number of threads that OpenMP reports: one, while this lives.
class SingleThread {
 public:
#ifdef _OPENMP
  SingleThread() : before_(omp_get_max_threads()) {
    omp_set_num_threads(1);
  }
  ~SingleThread() {
    omp_set_num_threads(before_);
  }

 private:
  int before_;
#endif
};

Plan make_plan(const Problem& problem) {
  const auto& [pass, N, H, W, C, K, R, S, stride, padding] = problem;
  const auto f32 = memory::data_type::f32;
  Plan plan;
  plan.x = memory::desc({N, C, H, W}, f32, memory::format_tag::nhwc);
  plan.y = memory::desc({N, K, problem.P(), problem.Q()}, f32, memory::format_tag::nhwc);
  plan.plain_weight = memory::desc({K, C, R, S}, f32, memory::format_tag::ohwi);
  const memory::desc any_weight({K, C, R, S}, f32, memory::format_tag::any);
  const memory::dims strides = {stride, stride}, paddings = {padding, padding};
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);

  const auto direct = dnnl::algorithm::convolution_direct;
  const dnnl::convolution_forward::primitive_desc forward(
      {dnnl::prop_kind::forward_training, direct, plan.x, any_weight, plan.y, strides, paddings, paddings},
      attributes, cpu_engine());
  if (pass == Pass::forward) {
    plan.primitive = dnnl::convolution_forward(forward);
    plan.weight = forward.weights_desc();
    plan.scratchpad = forward.scratchpad_desc();
  } else if (pass == Pass::backward_input) {
    const dnnl::convolution_backward_data::primitive_desc backward(
        {direct, plan.x, any_weight, plan.y, strides, paddings, paddings}, attributes, cpu_engine(), forward);
    plan.primitive = dnnl::convolution_backward_data(backward);
    plan.weight = backward.weights_desc();
    plan.scratchpad = backward.scratchpad_desc();
  } else {
    const dnnl::convolution_backward_weights::primitive_desc backward(
        {direct, plan.x, any_weight, plan.y, strides, paddings, paddings}, attributes, cpu_engine(), forward);
    plan.primitive = dnnl::convolution_backward_weights(backward);
    plan.weight = backward.diff_weights_desc();
    plan.scratchpad = backward.scratchpad_desc();
  }
  plan.needs_reorder = plan.weight != plan.plain_weight;
  if (plan.needs_reorder) {
    const bool to_plain = pass == Pass::backward_weight;
    plan.reorder = dnnl::reorder(
        dnnl::reorder::primitive_desc(cpu_engine(), to_plain ? plan.weight : plan.plain_weight, cpu_engine(),
                                      to_plain ? plan.plain_weight : plan.weight));
  }
  return plan;
}

const Plan& plan_for(const Problem& problem) {
  static auto* mutex = new std::mutex;
  static auto* plans = new std::map<Problem, std::unique_ptr<Plan>>;
  const std::lock_guard lock(*mutex);
  std::unique_ptr<Plan>& plan = (*plans)[problem];
  if (!plan) plan = std::make_unique<Plan>(make_plan(problem));
  return *plan;
}

Problem problem_of(Pass pass, const Tensor& x, const Tensor& weight, int64_t stride, int64_t padding) {
  return {pass,       x.shape(0),      x.shape(1),      x.shape(2),
          x.shape(3), weight.shape(0), weight.shape(1), weight.shape(2),
          stride,     padding};
}

Tensor bytes_for(const memory::desc& desc) {
  return Tensor::empty({std::max<int64_t>(1, static_cast<int64_t>(desc.get_size()))}, Dtype::u8);
}

memory view(const memory::desc& desc, const void* data) {
  return memory(desc, cpu_engine(), const_cast<void*>(data));
}

void run_reorder(const Plan& plan, const memory::desc& from, const void* source, const memory::desc& to,
                 void* target) {
  memory from_memory = view(from, source), to_memory = view(to, target);
  plan.reorder.execute(thread_stream(), {{DNNL_ARG_FROM, from_memory}, {DNNL_ARG_TO, to_memory}});
}

/// Images [begin, end) of chunk `chunk` when N images are cut into `chunks` nearly equal chunks.
struct Range {
  int64_t begin, end;
};
Range chunk_range(int64_t N, int64_t chunks, int64_t chunk) {
  return {N * chunk / chunks, N * (chunk + 1) / chunks};
}

/// The plan of the problem for `count` of its images.
const Plan& plan_for_images(Problem problem, int64_t count) {
  problem.N = count;
  return plan_for(problem);
}

/// Runs forward or backward_input: chunks of images are independent. dnnl_x and dnnl_y are oneDNN's names for
/// the two image arguments.
void run_images(const Problem& problem, const float* x, int dnnl_x, const float* y, int dnnl_y,
                const Tensor& weight) {
  const int64_t x_image = problem.H * problem.W * problem.C;
  const int64_t y_image = problem.P() * problem.Q() * problem.K;
  const int64_t bytes = (x_image + y_image) * static_cast<int64_t>(sizeof(float));
  const int64_t images = std::clamp<int64_t>(kChunkBytes / bytes, 1, problem.N);
  const int64_t chunks = (problem.N + images - 1) / images;

  // Every chunk has `smallest` or one more image. Weights are brought into the layout of each once.
  const int64_t smallest = problem.N / chunks;
  std::array<const Plan*, 2> plans{};
  std::array<Tensor, 2> weights;
  for (const int64_t extra : {0, 1}) {
    if (extra == 1 && problem.N % chunks == 0) break;
    const Plan& plan = plan_for_images(problem, smallest + extra);
    const auto slot = static_cast<size_t>(extra);
    plans[slot] = &plan;
    if (plan.needs_reorder) {
      weights[slot] = bytes_for(plan.weight);
      run_reorder(plan, plan.plain_weight, weight.raw(), plan.weight, weights[slot].raw());
    } else {
      weights[slot] = weight;
    }
  }
  parallel_for(chunks, 1, [&](int64_t first, int64_t last) {
    std::array<Tensor, 2> scratchpads;
    for (int64_t chunk = first; chunk < last; ++chunk) {
      const Range range = chunk_range(problem.N, chunks, chunk);
      const auto slot = static_cast<size_t>(range.end - range.begin - smallest);
      const Plan& plan = *plans[slot];
      if (!scratchpads[slot].defined()) scratchpads[slot] = bytes_for(plan.scratchpad);
      plan.primitive.execute(thread_stream(),
                             {{dnnl_x, view(plan.x, x + range.begin * x_image)},
                              {dnnl_y, view(plan.y, y + range.begin * y_image)},
                              {DNNL_ARG_WEIGHTS, view(plan.weight, weights[slot].raw())},
                              {DNNL_ARG_SCRATCHPAD, view(plan.scratchpad, scratchpads[slot].raw())}});
    }
  });
}

/// Calls body with oneDNN set to one thread, and turns its errors into ours, with the problem.
template <class Body>
void call_onednn(const char* operation, const Problem& problem, Body&& body) {
  const SingleThread single_thread;
  try {
    body();
  } catch (const dnnl::error& error) {
    throw Error(str(operation, ": oneDNN says \"", error.what(), "\" for x [", problem.N, ", ", problem.H,
                    ", ", problem.W, ", ", problem.C, "], weight [", problem.K, ", ", problem.R, ", ",
                    problem.S, ", ", problem.C, "], stride ", problem.stride, ", padding ", problem.padding));
  }
}

}  // namespace

void conv_forward(const Tensor& x, const Tensor& weight, int64_t stride, int64_t padding, Tensor& y) {
  const Problem problem = problem_of(Pass::forward, x, weight, stride, padding);
  call_onednn("conv_forward", problem, [&] {
    run_images(problem, x.data<float>(), DNNL_ARG_SRC, y.data<float>(), DNNL_ARG_DST, weight);
  });
}

void conv_backward_input(const Tensor& dy, const Tensor& weight, int64_t stride, int64_t padding,
                         Tensor& dx) {
  const Problem problem = problem_of(Pass::backward_input, dx, weight, stride, padding);
  call_onednn("conv_backward_input", problem, [&] {
    run_images(problem, dx.data<float>(), DNNL_ARG_DIFF_SRC, dy.data<float>(), DNNL_ARG_DIFF_DST, weight);
  });
}

void conv_backward_weight(const Tensor& x, const Tensor& dy, int64_t stride, int64_t padding,
                          Tensor& dweight) {
  const Problem problem = problem_of(Pass::backward_weight, x, dweight, stride, padding);
  const int64_t x_image = problem.H * problem.W * problem.C;
  const int64_t y_image = problem.P() * problem.Q() * problem.K;
  const int64_t groups = std::min(kWeightGroups, problem.N);
  call_onednn("conv_backward_weight", problem, [&] {
    // The layout must not depend on the group: all groups take the layout of the first.
    const Plan& first_plan = plan_for_images(problem, problem.N / groups);
    const int64_t count = static_cast<int64_t>(first_plan.weight.get_size() / sizeof(float));
    Tensor partials = Tensor::empty({groups, count});
    parallel_for(groups, 1, [&](int64_t first, int64_t last) {
      for (int64_t group = first; group < last; ++group) {
        const Range range = chunk_range(problem.N, groups, group);
        const Plan& plan = plan_for_images(problem, range.end - range.begin);
        check(plan.weight == first_plan.weight,
              "conv_backward_weight: oneDNN wants different weight layouts for ", range.end - range.begin,
              " and ", problem.N / groups, " images");
        const Tensor scratchpad = bytes_for(plan.scratchpad);
        plan.primitive.execute(
            thread_stream(),
            {{DNNL_ARG_SRC, view(plan.x, x.data<float>() + range.begin * x_image)},
             {DNNL_ARG_DIFF_DST, view(plan.y, dy.data<float>() + range.begin * y_image)},
             {DNNL_ARG_DIFF_WEIGHTS, view(plan.weight, partials.data<float>() + group * count)},
             {DNNL_ARG_SCRATCHPAD, view(plan.scratchpad, scratchpad.raw())}});
      }
    });
    Tensor sum = first_plan.needs_reorder ? Tensor::empty({count}) : dweight.reshape({count});
    parallel_for(count, 16384, [&](int64_t begin, int64_t end) {
      float* total = sum.data<float>();
      const float* partial = partials.data<float>();
      std::copy(partial + begin, partial + end, total + begin);
      for (int64_t group = 1; group < groups; ++group) {
        for (int64_t i = begin; i < end; ++i) total[i] += partial[group * count + i];
      }
    });
    if (first_plan.needs_reorder) {
      run_reorder(first_plan, first_plan.weight, sum.raw(), first_plan.plain_weight, dweight.raw());
    }
  });
}

}  // namespace fovea::kernels::cpu::onednn
