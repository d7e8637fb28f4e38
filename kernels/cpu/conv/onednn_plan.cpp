#include "fovea/kernels/cpu/conv/onednn_plan.h"

#include <array>
#include <atomic>
#include <cstdlib>
#include <mutex>
#include <type_traits>
#include <utility>

#include "fovea/core/environment.h"
#include "fovea/core/fork.h"
#include "fovea/core/lru_cache.h"
#include "fovea/kernels/conv.h"
#include "fovea/kernels/cpu/conv/onednn.h"
#include "fovea/kernels/cpu/conv/onednn_memory.h"
#include "fovea/kernels/cpu_variant.h"

namespace fovea::kernels::cpu::onednn {
namespace {

using dnnl::memory;

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

Plan make_plan(ConvPass pass, const ConvProblem& problem) {
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
  if (pass == ConvPass::forward) {
    keep_forward(describe_forward(plan.x, any_weight, plan.y), DNNL_ARG_SRC, DNNL_ARG_DST);
  } else if (pass == ConvPass::backward_input && problem.is_pointwise()) {
    // The forward pass with the weights transposed: oneDNN's kernels for it are up to 30% faster.
    plan.plain_weight = memory::desc({C, K, 1, 1}, f32, memory::dims{1, C, 1, 1});
    keep_forward(describe_forward(plan.y, memory::desc({C, K, 1, 1}, f32, any), plan.x), DNNL_ARG_DST,
                 DNNL_ARG_SRC);
  } else if (pass == ConvPass::backward_input) {
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
    const bool to_plain = pass == ConvPass::backward_weight;
    plan.reorder = dnnl::reorder(
        dnnl::reorder::primitive_desc(cpu_engine(), to_plain ? plan.weight : plan.plain_weight, cpu_engine(),
                                      to_plain ? plan.plain_weight : plan.weight));
  }
  return plan;
}

/// Keeps oneDNN to the instructions that FOVEA_CPU asks for, before anything is planned. ONEDNN_MAX_CPU_ISA,
/// its own variable, goes before.
void limit_instructions() {
  if (environment("FOVEA_CPU").empty() || !environment("ONEDNN_MAX_CPU_ISA").empty()) return;
  const std::string variant = cpu_variant();
  if (variant == "sse2") dnnl::set_max_cpu_isa(dnnl::cpu_isa::sse41);  // the least that it can be told
  if (variant == "avx2") dnnl::set_max_cpu_isa(dnnl::cpu_isa::avx2);
  if (variant == "avx512") dnnl::set_max_cpu_isa(dnnl::cpu_isa::avx512_core_vnni);
}

std::atomic<bool> has_ended{false};  // see is_available

/// The plans that are kept.
struct Plans {
  std::mutex mutex;
  LruCache<std::pair<ConvPass, ConvProblem>, Plan> kept{kMostPlans};
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

}  // namespace

const dnnl::engine& cpu_engine() {
  static const auto* engine = [] {
    // Plans are kept here. oneDNN's own cache would keep up to 1,024 primitives more, and in it a primitive
    // for which there was no memory leaves a key that points to what is gone.
    dnnl::set_primitive_cache_capacity(0);
    limit_instructions();
    return new dnnl::engine(dnnl::engine::kind::cpu, 0);
  }();
  return *engine;
}

std::shared_ptr<const Plan> plan_for(ConvPass pass, const ConvProblem& problem) {
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

bool is_available() {
  return !has_ended;
}

}  // namespace fovea::kernels::cpu::onednn

fovea::kernels::ConvPlanCounts fovea::kernels::conv_plan_counts() {
  using namespace cpu::onednn;
  Plans& plans = Plans::instance();
  const std::lock_guard lock(plans.mutex);
  return {static_cast<int64_t>(plans.kept.size()), static_cast<int64_t>(plans.kept.capacity()), plans.made};
}
