#include "fovea/kernels/cpu/conv_plan.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <mutex>
#include <type_traits>
#include <utility>

#ifdef _OPENMP
#include <omp.h>
#endif

#include "fovea/core/allocator.h"
#include "fovea/core/fork.h"
#include "fovea/core/lru_cache.h"
#include "fovea/kernels/cpu/conv_onednn.h"
#include "fovea/kernels/cpu/onednn_memory.h"

namespace fovea::kernels::cpu::onednn {

using dnnl::memory;

/// A primitive for one problem, and the reorder between our weights and the layout that it wants.
struct Plan {
  dnnl::primitive primitive;
  int x_argument, y_argument, weight_argument;
  memory::desc x, y, weight, scratchpad;
  memory::desc plain_weight;  // [K, R, S, C] in memory
  dnnl::primitive reorder;    // forward and backward_input: plain -> weight; backward_weight: weight -> plain
  bool needs_reorder = false;
};

namespace {

constexpr int64_t kFloatBytes = sizeof(float);
constexpr int64_t kChunkBytes = 768 << 10;  // of one chunk: most of a 1 MB L2 cache

/// Never destroyed, as all here: objects with static storage may convolve in their destructors.
const dnnl::engine& cpu_engine() {
  static const auto* engine = [] {
    // Plans are kept below. oneDNN's own cache would keep up to 1,024 primitives more, and in it a primitive
    // for which there was no memory leaves a key that points to what is gone.
    dnnl::set_primitive_cache_capacity(0);
    return new dnnl::engine(dnnl::engine::kind::cpu, 0);
  }();
  return *engine;
}

struct NoHint {};

/// The description of a primitive, of a backward pass with that of the forward pass as a hint. oneDNN 3 takes
/// at once what oneDNN 2 took as the description of an operation.
template <class Primitive, class Hint, class... Operation>
typename Primitive::primitive_desc describe(const dnnl::primitive_attr& attributes, const Hint& hint,
                                            const Operation&... operation) {
  constexpr bool kHasHint = !std::is_same_v<Hint, NoHint>;
#if DNNL_VERSION_MAJOR >= 3
  if constexpr (kHasHint) return {cpu_engine(), operation..., hint, attributes};
  if constexpr (!kHasHint) return {cpu_engine(), operation..., attributes};
#else
  const typename Primitive::desc description(operation...);
  if constexpr (kHasHint) return {description, attributes, cpu_engine(), hint};
  if constexpr (!kHasHint) return {description, attributes, cpu_engine()};
#endif
}

Plan make_plan(Pass pass, const ConvProblem& problem) {
  const MemoryScope scope;
  const auto& [N, H, W, C, K, R, S, stride, padding] = problem;
  const auto f32 = memory::data_type::f32;
  const auto any = memory::format_tag::any;
  Plan plan;
  plan.x = memory::desc({N, C, H, W}, f32, memory::format_tag::nhwc);
  plan.y = memory::desc({N, K, problem.P(), problem.Q()}, f32, memory::format_tag::nhwc);
  plan.plain_weight = memory::desc({K, C, R, S}, f32, memory::format_tag::ohwi);
  const memory::dims strides = {stride, stride}, paddings = {padding, padding};
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);

  const memory::desc any_weight({K, C, R, S}, f32, any);
  const auto describe_forward = [&](const memory::desc& from, const memory::desc& weight,
                                    const memory::desc& to) {
    return describe<dnnl::convolution_forward>(attributes, NoHint(), dnnl::prop_kind::forward_training,
                                               dnnl::algorithm::convolution_direct, from, weight, to, strides,
                                               paddings, paddings);
  };
  const auto describe_backward = [&]<class Primitive>() {
    return describe<Primitive>(attributes, describe_forward(plan.x, any_weight, plan.y),
                               dnnl::algorithm::convolution_direct, plan.x, any_weight, plan.y, strides,
                               paddings, paddings);
  };
  const auto keep = [&](const auto& description, dnnl::primitive primitive, const memory::desc& weight, int x,
                        int y, int weight_argument) {
    plan.primitive = std::move(primitive);
    plan.scratchpad = description.scratchpad_desc();
    plan.weight = weight;
    plan.x_argument = x;
    plan.y_argument = y;
    plan.weight_argument = weight_argument;
  };
  const auto keep_forward = [&](const dnnl::convolution_forward::primitive_desc& description, int x, int y) {
    keep(description, dnnl::convolution_forward(description), description.weights_desc(), x, y,
         DNNL_ARG_WEIGHTS);
  };
  if (pass == Pass::forward) {
    keep_forward(describe_forward(plan.x, any_weight, plan.y), DNNL_ARG_SRC, DNNL_ARG_DST);
  } else if (pass == Pass::backward_input && problem.is_pointwise()) {
    // The forward pass with the weights transposed: oneDNN's kernels for it are up to 30% faster.
    plan.plain_weight = memory::desc({C, K, 1, 1}, f32, memory::dims{1, C, 1, 1});
    keep_forward(describe_forward(plan.y, memory::desc({C, K, 1, 1}, f32, any), plan.x), DNNL_ARG_DST,
                 DNNL_ARG_SRC);
  } else if (pass == Pass::backward_input) {
    const auto description = describe_backward.operator()<dnnl::convolution_backward_data>();
    keep(description, dnnl::convolution_backward_data(description), description.weights_desc(),
         DNNL_ARG_DIFF_SRC, DNNL_ARG_DIFF_DST, DNNL_ARG_WEIGHTS);
  } else {
    const auto description = describe_backward.operator()<dnnl::convolution_backward_weights>();
    keep(description, dnnl::convolution_backward_weights(description), description.diff_weights_desc(),
         DNNL_ARG_SRC, DNNL_ARG_DIFF_DST, DNNL_ARG_DIFF_WEIGHTS);
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

std::atomic<bool> has_ended{false};  // see is_alive

/// The plans that are kept.
struct Plans {
  std::mutex mutex;
  LruCache<std::pair<Pass, ConvProblem>, Plan> kept{kMostPlans};
  int64_t made = 0;
  std::array<bool, 6> is_told{};  // for each pass, without and with a reorder

  static Plans& instance() {
    static auto* plans = new Plans;
    return *plans;
  }
};

/// It keeps oneDNN's own locks free over a fork, too: they are taken while something is planned.
const ForkLock fork_lock{ForkOrder::conv_plans, [] { Plans::instance().mutex.lock(); },
                         [] { Plans::instance().mutex.unlock(); }};

std::shared_ptr<const Plan> plan_for(Pass pass, const ConvProblem& problem) {
  Plans& plans = Plans::instance();
  const std::lock_guard lock(plans.mutex);
  const std::pair key(pass, problem);
  if (auto known = plans.kept.find(key)) return known;
  check_room();
  Plan made = make_plan(pass, problem);
  ++plans.made;
  // What oneDNN has made for such a plan the first time is destroyed at the end of the program: before it, we
  // are told.
  bool& is_told = plans.is_told[2 * static_cast<size_t>(pass) + (made.needs_reorder ? 1 : 0)];
  if (!std::exchange(is_told, true)) std::atexit([] { has_ended = true; });
  return plans.kept.add(key, std::move(made));
}

Tensor bytes_for(const memory::desc& desc) {
  return Tensor::empty({std::max<int64_t>(1, static_cast<int64_t>(desc.get_size()))}, Dtype::u8);
}

/// A null pointer: none yet.
memory view(const memory::desc& desc, const void* data) {
  const MemoryScope scope;
  return memory(desc, cpu_engine(), data == nullptr ? DNNL_MEMORY_NONE : const_cast<void*>(data));
}

void run_reorder(const Plan& plan, const memory::desc& from, const void* source, const memory::desc& to,
                 void* target) {
  const MemoryScope scope;
  memory from_memory = view(from, source), to_memory = view(to, target);
  dnnl::stream stream(cpu_engine());
  plan.reorder.execute(stream, {{DNNL_ARG_FROM, from_memory}, {DNNL_ARG_TO, to_memory}});
}

}  // namespace

Cut::Cut(const ConvProblem& problem, bool by_rows)
    : whole_(problem),
      by_rows_(by_rows),
      units_(by_rows ? problem.N * problem.H : problem.N),
      x_unit_(problem.x_image() / (by_rows ? problem.H : 1)),
      y_unit_(problem.y_image() / (by_rows ? problem.H : 1)) {}

void Cut::choose_chunks(int64_t bytes_per_unit, int64_t groups) {
  const int64_t weight_bytes = whole_.K * whole_.R * whole_.S * whole_.C * kFloatBytes;
  // The weights are read for every chunk: where they are large, so is a chunk.
  const int64_t wanted = std::max(kChunkBytes, 2 * weight_bytes) / std::max<int64_t>(bytes_per_unit, 1);
  const int64_t largest = bytes_per_unit > 0 ? std::clamp<int64_t>(wanted, 1, units_) : units_;
  groups_ = std::min(groups, units_);
  const int64_t per_group = (units_ / groups_ + largest - 1) / largest;
  chunks_ = groups_ * std::max<int64_t>(per_group, 1);
}

Cut::Cut(const ConvProblem& problem, int64_t floats_per_x, int64_t floats_per_y, int64_t groups)
    : Cut(problem, problem.is_pointwise()) {
  choose_chunks((floats_per_x * x_unit_ + floats_per_y * y_unit_) * kFloatBytes, groups);
}

Cut Cut::images(const ConvProblem& problem, int64_t floats_per_image) {
  Cut cut(problem, /*by_rows=*/false);
  cut.choose_chunks(floats_per_image * kFloatBytes, kGroups);
  return cut;
}

Cut Cut::images(const ConvProblem& problem, const Cut& other) {
  Cut cut(problem, /*by_rows=*/false);
  cut.groups_ = other.groups_;
  cut.chunks_ = other.chunks_;
  return cut;
}

ConvProblem Cut::of(int64_t count) const {
  ConvProblem problem = whole_;
  problem.N = by_rows_ ? 1 : count;
  if (by_rows_) problem.H = count;
  return problem;
}

bool ChunkConv::takes_winograd(const Cut& cut) {
  return winograd::suits(cut.of(cut.smallest()));
}

ChunkConv::ChunkConv(Pass pass, const Cut& cut, const Tensor& weight)
    : pass_(pass), whole_(cut.whole()), smallest_(cut.smallest()) {
  if (takes_winograd(cut)) {
    if (pass == Pass::forward) weights_[0] = winograd::transform_filters(weight);
    if (pass == Pass::backward_input) weights_[0] = winograd::transform_filters_for_input(weight);
    return;
  }
  for (int64_t count = cut.smallest(); count <= cut.largest(); ++count) {
    const auto slot = static_cast<size_t>(count - smallest_);
    plans_[slot] = plan_for(pass, cut.of(count));
    const Plan& plan = *plans_[slot];
    if (pass == Pass::backward_weight) {
      check(plan.weight == plans_[0]->weight,
            "conv: oneDNN wants different layouts of the weights' gradient for ", smallest_, " and ", count,
            " units of ", cut.whole());
    } else if (slot == 1 && plan.weight == plans_[0]->weight) {
      weights_[1] = weights_[0];
    } else if (plan.needs_reorder) {
      weights_[slot] = bytes_for(plan.weight);
      run_reorder(plan, plan.plain_weight, weight.raw(), plan.weight, weights_[slot].raw());
    } else {
      weights_[slot] = weight;
    }
  }
}

ChunkRunner::ChunkRunner(const ChunkConv& conv) : conv_(conv), winograd_(conv.whole_.H, conv.whole_.W) {
  if (conv.is_winograd()) return;
  const MemoryScope scope;
  stream_ = dnnl::stream(cpu_engine());
  int64_t bytes = 1;
  for (const auto& plan : conv.plans_) {
    if (plan != nullptr) bytes = std::max(bytes, static_cast<int64_t>(plan->scratchpad.get_size()));
  }
  scratch_ = Tensor::empty({bytes}, Dtype::u8);
  const bool is_weight = conv.pass_ == Pass::backward_weight;
  for (size_t slot = 0; slot < conv.plans_.size(); ++slot) {
    if (conv.plans_[slot] == nullptr) continue;
    const Plan& plan = *conv.plans_[slot];
    const void* weight = is_weight ? nullptr : conv.weights_[slot].raw();
    Arguments& arguments = arguments_[slot];
    arguments.x = view(plan.x, nullptr);  // set for each chunk
    arguments.y = view(plan.y, nullptr);
    arguments.weight = view(plan.weight, weight);
    arguments.scratch = view(plan.scratchpad, scratch_.raw());
    arguments.list = {{{plan.x_argument, arguments.x.get()},
                       {plan.y_argument, arguments.y.get()},
                       {plan.weight_argument, arguments.weight.get()},
                       {DNNL_ARG_SCRATCHPAD, arguments.scratch.get()}}};
  }
}

void ChunkRunner::operator()(int64_t count, const float* x, const float* y, float* weight) {
  if (conv_.is_winograd()) {
    const auto& whole = conv_.whole_;
    const float* filters = conv_.weights_[0].data<float>();
    return conv_.pass_ == Pass::forward
               ? winograd_.forward(count, whole.C, whole.K, x, filters, const_cast<float*>(y))
               : winograd_.forward(count, whole.K, whole.C, y, filters, const_cast<float*>(x));
  }
  const MemoryScope scope;
  const auto slot = static_cast<size_t>(count - conv_.smallest_);
  Arguments& arguments = arguments_[slot];
  arguments.x.set_data_handle(const_cast<float*>(x));
  arguments.y.set_data_handle(const_cast<float*>(y));
  if (weight != nullptr) arguments.weight.set_data_handle(weight);
  dnnl::error::wrap_c_api(
      dnnl_primitive_execute(conv_.plans_[slot]->primitive.get(), stream_.get(),
                             static_cast<int>(arguments.list.size()), arguments.list.data()),
      "could not execute a primitive");
}

int64_t ChunkConv::weight_count() const {
  if (is_winograd()) return whole_.K * whole_.R * whole_.S * whole_.C;
  return static_cast<int64_t>(plans_[0]->weight.get_size() / sizeof(float));
}

bool ChunkConv::is_plain() const {
  return is_winograd() || !plans_[0]->needs_reorder;
}

void ChunkConv::to_plain(const Tensor& gradient, Tensor& dweight) const {
  const Plan& plan = *plans_[0];
  run_reorder(plan, plan.weight, gradient.raw(), plan.plain_weight, dweight.raw());
}

WeightSum::WeightSum(const ChunkConv& conv)
    : conv_(conv), run_(conv), winograd_(conv.whole_.H, conv.whole_.W) {
  if (conv.is_winograd()) filters_ = Tensor::empty({winograd::filter_size(conv.whole_.C, conv.whole_.K)});
}

void WeightSum::begin(float* total) {
  total_ = total;
  is_first_ = true;
}

void WeightSum::add(int64_t count, const float* x, const float* dy) {
  if (conv_.is_winograd()) {
    winograd_.backward_filters(count, conv_.whole_.C, conv_.whole_.K, x, dy, filters_.data<float>(),
                               /*add=*/!is_first_);
  } else if (is_first_) {
    run_(count, x, dy, total_);
  } else {
    if (!part_.defined()) part_ = Tensor::empty({conv_.weight_count()});
    float* part = part_.data<float>();
    run_(count, x, dy, part);
    for (int64_t i = 0; i < part_.size(); ++i) total_[i] += part[i];
  }
  is_first_ = false;
}

void WeightSum::end() {
  if (!conv_.is_winograd()) return;
  winograd::transform_filters_backward(conv_.whole_.C, conv_.whole_.K, filters_.data<float>(), total_);
}

void add_groups(const ChunkConv& conv, int64_t groups, const Tensor& partials, Tensor& dweight) {
  const int64_t count = conv.weight_count();
  Tensor sum = conv.is_plain() ? dweight : Tensor::empty({count});
  cpu::add_groups(groups, count, partials.data<float>(), sum.data<float>());
  if (!conv.is_plain()) conv.to_plain(sum, dweight);
}

bool is_alive() {
  return !has_ended;
}

ConvPlanCounts plan_counts() {
  Plans& plans = Plans::instance();
  const std::lock_guard lock(plans.mutex);
  return {static_cast<int64_t>(plans.kept.size()), static_cast<int64_t>(plans.kept.capacity()), plans.made};
}

void throw_out_of_memory(const char* operation, const ConvProblem& problem) {
  const MemoryStats memory = memory_stats();
  throw OutOfMemory(fovea::str(operation, ": oneDNN has no memory for ", problem, ": ", memory.in_use,
                               " bytes of tensors are in use on the CPU and ", memory.cached,
                               " cached; try a smaller batch size"));
}

#ifdef _OPENMP
SingleThread::SingleThread() : before_(omp_get_max_threads()) {
  omp_set_num_threads(1);
}
SingleThread::~SingleThread() {
  omp_set_num_threads(before_);
}
#else
SingleThread::SingleThread() = default;
SingleThread::~SingleThread() = default;
#endif

}  // namespace fovea::kernels::cpu::onednn
