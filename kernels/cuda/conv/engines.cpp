#include "fovea/kernels/cuda/conv/engines.h"

#include <algorithm>
#include <array>

#include "fovea/core/check.h"

namespace fovea::cudnn {
namespace {

using kernels::ConvPass;

// Unique identifiers of the tensors in an operation graph.
constexpr int64_t kX = 1, kWeight = 2, kY = 3;

cudnnDataType_t data_type(Dtype dtype) {
  switch (dtype) {
    case Dtype::f32: return CUDNN_DATA_FLOAT;
    case Dtype::bf16: return CUDNN_DATA_BFLOAT16;
    case Dtype::f16: return CUDNN_DATA_HALF;
    default: break;
  }
  throw Error(str("conv: dtype is ", dtype, ", wanted f32, bf16 or f16 on a CUDA device"));
}

/// cuDNN names the axes N, C, H, W, and [N, H, W, C] is told by the strides.
Descriptor tensor(int64_t id, const Shape& shape, Dtype dtype) {
  const int64_t H = shape[1], W = shape[2], C = shape[3];
  const std::array dimensions = {shape[0], C, H, W};
  const std::array<int64_t, 4> strides = {H * W * C, 1, W * C, C};
  Descriptor result(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
  result.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, id);
  result.set(CUDNN_ATTR_TENSOR_DATA_TYPE, data_type(dtype));
  result.set_all(CUDNN_ATTR_TENSOR_DIMENSIONS, std::span<const int64_t>(dimensions));
  result.set_all(CUDNN_ATTR_TENSOR_STRIDES, std::span<const int64_t>(strides));
  result.set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, EnginePlan::kAlignment);
  result.finalize();
  return result;
}

Descriptor convolution(int64_t stride, int64_t padding) {
  const std::array<int64_t, 2> strides = {stride, stride}, paddings = {padding, padding}, dilations = {1, 1};
  Descriptor result(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
  result.set(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_DATA_FLOAT);
  result.set(CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_CROSS_CORRELATION);
  result.set(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, int64_t{2});
  result.set_all(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, std::span<const int64_t>(strides));
  result.set_all(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, std::span<const int64_t>(paddings));
  result.set_all(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, std::span<const int64_t>(paddings));
  result.set_all(CUDNN_ATTR_CONVOLUTION_DILATIONS, std::span<const int64_t>(dilations));
  result.finalize();
  return result;
}

/// What cuDNN calls the parts of a convolution in one pass.
struct OperationNames {
  cudnnBackendDescriptorType_t type;
  cudnnBackendAttributeName_t x, weight, y, convolution, alpha, beta;
};

OperationNames names_of(ConvPass pass) {
  switch (pass) {
    case ConvPass::forward:
      return {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA};
    case ConvPass::backward_input:
      return {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA};
    case ConvPass::backward_weight: break;
  }
  return {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA};
}

/// The operation graph of a single convolution.
Descriptor graph_of(const ConvKey& problem, const Target& target) {
  const OperationNames names = names_of(problem.pass);
  Descriptor operation(names.type);
  operation.set(names.x, tensor(kX, problem.x(), problem.dtype));
  operation.set(names.weight, tensor(kWeight, problem.weight(), problem.dtype));
  operation.set(names.y, tensor(kY, problem.y(), problem.dtype));
  operation.set(names.convolution, convolution(problem.stride, problem.padding));
  operation.set(names.alpha, 1.0f);
  operation.set(names.beta, 0.0f);
  operation.finalize();
  Descriptor graph(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
  target.name_by_handle(graph, CUDNN_ATTR_OPERATIONGRAPH_HANDLE);
  graph.set(CUDNN_ATTR_OPERATIONGRAPH_OPS, operation);
  graph.finalize();
  return graph;
}

/// Reads what cuDNN says of an engine and its settings. `knobs` is room for descriptors of them: cuDNN does
/// not say how many there are.
Proposal read(const Descriptor& configuration, std::span<const Descriptor> knobs) {
  const std::vector<Descriptor> engine =
      configuration.get_all(CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_BACKEND_ENGINE_DESCRIPTOR);
  Proposal result;
  result.engine.index = engine.front().get<int64_t>(CUDNN_ATTR_ENGINE_GLOBAL_INDEX);
  result.notes = engine.front().get_all<cudnnBackendNumericalNote_t>(CUDNN_ATTR_ENGINE_NUMERICAL_NOTE);
  result.behaviours = behaviours_of(engine.front());
  result.workspace_bytes = configuration.get<int64_t>(CUDNN_ATTR_ENGINECFG_WORKSPACE_SIZE);
  for (const Descriptor& knob :
       knobs.first(configuration.read_into(knobs, CUDNN_ATTR_ENGINECFG_KNOB_CHOICES))) {
    result.engine.knobs.push_back({knob.get<cudnnBackendKnobType_t>(CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE),
                                   knob.get<int64_t>(CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE)});
  }
  return result;
}

Descriptor configuration_of(const Descriptor& graph, const ConvEngine& engine, const Target& target) {
  Descriptor implementation(CUDNN_BACKEND_ENGINE_DESCRIPTOR);
  implementation.set(CUDNN_ATTR_ENGINE_OPERATION_GRAPH, graph);
  implementation.set(CUDNN_ATTR_ENGINE_GLOBAL_INDEX, engine.index);
  target.name_by_properties(implementation, CUDNN_ATTR_ENGINE_DEVICEPROP);
  implementation.finalize();
  std::vector<Descriptor> choices;
  for (const ConvEngine::Knob& knob : engine.knobs) {
    Descriptor& choice = choices.emplace_back(CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR);
    choice.set(CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, static_cast<cudnnBackendKnobType_t>(knob.type));
    choice.set(CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, knob.value);
    choice.finalize();
  }
  Descriptor result(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
  result.set(CUDNN_ATTR_ENGINECFG_ENGINE, implementation);
  if (!choices.empty()) {
    result.set_all(CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, std::span<const Descriptor>(choices));
  }
  result.finalize();
  return result;
}

Descriptor plan_of(const ConvKey& problem, const ConvEngine& engine, const Target& target) {
  const Descriptor graph = graph_of(problem, target);
  Descriptor plan(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
  target.name_by_handle(plan, CUDNN_ATTR_EXECUTION_PLAN_HANDLE);
  target.name_by_properties(plan, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP);
  plan.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, configuration_of(graph, engine, target));
  plan.finalize();
  return plan;
}

/// The configurations that one of cuDNN's heuristics gives, the best first.
std::vector<Descriptor> ask(const Descriptor& graph, cudnnBackendHeurMode_t mode, const Target& target) {
  Descriptor heuristic(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
  heuristic.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph);
  heuristic.set(CUDNN_ATTR_ENGINEHEUR_MODE, mode);
  target.name_by_properties(heuristic, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP);
  heuristic.finalize();
  return heuristic.get_all(CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
}

}  // namespace

std::vector<cudnnBackendBehaviorNote_t> behaviours_of(const Descriptor& engine) {
  return engine.get_all<cudnnBackendBehaviorNote_t>(CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE);
}

bool Proposal::has(cudnnBackendNumericalNote_t note) const {
  return std::find(notes.begin(), notes.end(), note) != notes.end();
}

bool Proposal::has(cudnnBackendBehaviorNote_t behaviour) const {
  return std::find(behaviours.begin(), behaviours.end(), behaviour) != behaviours.end();
}

std::vector<Proposal> proposals(const ConvKey& problem, const Target& target) {
  const Descriptor graph = graph_of(problem, target);
  std::vector<Descriptor> knobs;
  while (knobs.size() < CUDNN_KNOB_TYPE_COUNTS) knobs.emplace_back(CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR);
  std::vector<Proposal> result;
  for (const auto mode : {CUDNN_HEUR_MODE_B, CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK}) {
    try {
      for (const Descriptor& configuration : ask(graph, mode, target)) {
        Proposal proposal = read(configuration, knobs);
        const auto is_same = [&](const Proposal& other) { return other.engine == proposal.engine; };
        if (std::none_of(result.begin(), result.end(), is_same)) result.push_back(std::move(proposal));
      }
    } catch (const DeviceLost&) {
      throw;
    } catch (const DeviceError&) {
      // A heuristic that does not know this convolution; the next may.
    }
  }
  return result;
}

bool is_acceptable(const ConvKey& problem, const Proposal& proposal, int64_t workspace_limit) {
  if (proposal.workspace_bytes > workspace_limit) return false;
  if (proposal.has(CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC)) return false;
  if (proposal.has(CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION)) return false;
  if (problem.dtype != Dtype::f32 || problem.tf32) return true;
  // What rounds factors, or sums numbers much larger than the result.
  constexpr cudnnBackendNumericalNote_t kInexact[] = {
      CUDNN_NUMERICAL_NOTE_TENSOR_CORE, CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS, CUDNN_NUMERICAL_NOTE_FFT,
      CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_6x6, CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13};
  return std::none_of(std::begin(kInexact), std::end(kInexact),
                      [&](cudnnBackendNumericalNote_t note) { return proposal.has(note); });
}

EnginePlan::EnginePlan(const ConvKey& problem, const ConvEngine& engine, const Target& target)
    : plan_(plan_of(problem, engine, target)),
      workspace_bytes_(plan_.get<int64_t>(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE)) {}

void EnginePlan::execute(void* x, void* weight, void* y, void* workspace) const {
  const std::array ids = {kX, kWeight, kY};
  const std::array pointers = {x, weight, y};
  Descriptor pack(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
  pack.set_all(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, std::span<const int64_t>(ids));
  pack.set_all(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, std::span<void* const>(pointers));
  pack.set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, workspace);
  pack.finalize();
  cudnn::execute(plan_, pack);
}

}  // namespace fovea::cudnn
