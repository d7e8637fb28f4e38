// What each operation of layers/functional.h is in ONNX.
#include <cmath>
#include <limits>
#include <map>
#include <string_view>

#include "fovea/core/check.h"
#include "fovea/training/onnx/translation.h"

namespace fovea {
namespace {

using Integers = std::vector<int64_t>;

/// One operation with what its nodes are made from.
struct Step {
  std::string input(size_t i) const { return translation.value_of(one.inputs[i]); }
  const Shape& shape(size_t i) const { return one.inputs[i].shape(); }
  template <class T = int64_t>
  T attribute(std::string_view name) const {
    return one.attribute<T>(name);
  }
  std::string node(const std::string& type, const std::string& what, const std::vector<std::string>& inputs,
                   const OnnxGraph::Attributes& attributes = {}) const {
    return translation.node(type, what, inputs, attributes);
  }

  OnnxTranslation& translation;
  const RecordedOperation& one;
};

void check_rank(const Step& step, bool is_right, const char* wanted) {
  check(is_right, "onnx: the operation ", step.one.operation.name, " on ", step.one.inputs[0].value(),
        " has no counterpart in ONNX, wanted ", wanted);
}

// The nodes of the same name that take the same inputs.
std::string plain(const Step& step, const char* type, const char* what) {
  std::vector<std::string> inputs;
  for (size_t i = 0; i < step.one.inputs.size(); ++i) inputs.push_back(step.input(i));
  return step.node(type, what, inputs);
}
std::string add(const Step& step) {
  return plain(step, "Add", "add");
}
std::string sub(const Step& step) {
  return plain(step, "Sub", "sub");
}
std::string mul(const Step& step) {
  return plain(step, "Mul", "mul");
}
std::string relu(const Step& step) {
  return plain(step, "Relu", "relu");
}
std::string sigmoid(const Step& step) {
  return plain(step, "Sigmoid", "sigmoid");
}
std::string matmul(const Step& step) {
  return plain(step, "MatMul", "matmul");
}

std::string scale(const Step& step) {
  const float factor = static_cast<float>(step.attribute<double>("factor"));
  return step.node("Mul", "scale", {step.input(0), step.translation.scalar(factor)});
}

/// The extents of a result, -1 for the one that follows the number of images.
Integers target_shape(const Step& step) {
  Integers shape;
  int64_t open = 0;
  for (int axis = 0; axis < step.one.y.rank(); ++axis) {
    const bool follows = step.one.y.shape(axis) != step.one.shape_of_two[axis];
    shape.push_back(follows ? -1 : step.one.y.shape(axis));
    open += follows ? 1 : 0;
  }
  check(open <= 1, "onnx: reshape of ", step.one.inputs[0].value(), " to ", step.one.y.shape(), ": ", open,
        " axes follow the number of images, at most one can in a graph");
  return shape;
}

std::string reshape(const Step& step) {
  const std::string shape = step.translation.graph().initialiser("shape", target_shape(step));
  const std::string rows = step.translation.as_fovea(step.input(0), step.shape(0));
  return step.translation.as_onnx(step.node("Reshape", "reshape", {rows, shape}), step.one.y.shape());
}

std::string concat(const Step& step) {
  const int64_t axis = step.attribute("axis");
  std::vector<std::string> parts;
  for (size_t i = 0; i < step.one.inputs.size(); ++i) {
    parts.push_back(step.translation.as_fovea(step.input(i), step.shape(i)));
  }
  return step.translation.as_onnx(step.node("Concat", "concat", parts, {{"axis", axis}}), step.one.y.shape());
}

Integers reduced_axes(const Step& step) {
  Integers axes;
  for (int64_t axis = step.attribute("begin"); axis < step.attribute("end"); ++axis) axes.push_back(axis);
  return axes;
}
std::string sum(const Step& step) {
  const std::string axes = step.translation.graph().initialiser("axes", reduced_axes(step));
  return step.node("ReduceSum", "sum", {step.translation.as_fovea(step.input(0), step.shape(0)), axes},
                   {{"keepdims", int64_t{0}}});
}
std::string mean(const Step& step) {
  return step.node("ReduceMean", "mean", {step.translation.as_fovea(step.input(0), step.shape(0))},
                   {{"axes", reduced_axes(step)}, {"keepdims", int64_t{0}}});
}

std::string linear(const Step& step) {
  check_rank(step, step.shape(0).rank() == 2, "[N, C]");
  std::vector<std::string> inputs{step.input(0), step.input(1)};
  if (step.one.inputs.size() > 2 && step.one.inputs[2].defined()) inputs.push_back(step.input(2));
  return step.translation.layer_node("Gemm", step.one.inputs[1], inputs, {{"transB", int64_t{1}}});
}

OnnxGraph::Attributes window(int64_t R, int64_t S, int64_t stride, int64_t padding) {
  return {{"kernel_shape", Integers{R, S}},
          {"strides", Integers{stride, stride}},
          {"pads", Integers{padding, padding, padding, padding}}};
}

std::string conv_node(const Step& step, const std::string& x, const Variable& weight,
                      const std::string& bias) {
  std::vector<std::string> inputs{x, step.translation.value_of(weight)};
  if (!bias.empty()) inputs.push_back(bias);
  return step.translation.layer_node(
      "Conv", weight, inputs,
      window(weight.shape(1), weight.shape(2), step.attribute("stride"), step.attribute("padding")));
}

std::string conv(const Step& step) {
  return conv_node(step, step.input(0), step.one.inputs[1],
                   step.one.inputs.size() > 2 ? step.input(2) : std::string());
}

OnnxGraph::Attributes pool_window(const Step& step) {
  const int64_t size = step.attribute("window");
  return window(size, size, step.attribute("stride"), step.attribute("padding"));
}
std::string max_pool(const Step& step) {
  return step.node("MaxPool", "max_pool", {step.input(0)}, pool_window(step));
}
std::string average_pool(const Step& step) {
  OnnxGraph::Attributes attributes = pool_window(step);
  attributes.emplace_back("count_include_pad", int64_t{1});
  return step.node("AveragePool", "average_pool", {step.input(0)}, attributes);
}
std::string global_average(const Step& step) {
  return step.node("Flatten", "global_average",
                   {step.node("GlobalAveragePool", "global_average_pool", {step.input(0)})});
}

/// A factor that brings `from` rows to `to` when its product is rounded down.
float factor_of(int64_t from, int64_t to) {
  float factor = static_cast<float>(to) / static_cast<float>(from);
  const auto rows = [&] { return std::floor(factor * static_cast<float>(from)); };
  while (rows() < static_cast<float>(to)) factor = std::nextafter(factor, std::numeric_limits<float>::max());
  return factor;
}

std::string upsample(const Step& step) {
  const Shape &x = step.shape(0), &y = step.one.y.shape();
  const std::string scales = step.translation.graph().initialiser(
      "scales", Shape{4}, std::vector<float>{1, 1, factor_of(x[1], y[1]), factor_of(x[2], y[2])});
  return step.node(
      "Resize", "upsample", {step.input(0), "", scales},
      {{"mode", std::string("linear")}, {"coordinate_transformation_mode", std::string("align_corners")}});
}
std::string upsample_add(const Step& step) {
  return step.node("Add", "upsample_add", {upsample(step), step.input(1)});
}

std::string norm(const Step& step) {
  const int rank = step.shape(0).rank();
  check_rank(step, rank == 2 || rank == 4, "[N, H, W, C] or [N, C]");
  check(step.attribute("training") == 0, "onnx: the operation ", step.one.operation.name,
        " is in training in an evaluation pass, and has no counterpart in ONNX");
  const auto statistic = [&](const char* name) {
    return step.translation.value_of(step.attribute<Tensor>(name));
  };
  return step.translation.layer_node(
      "BatchNormalization", step.one.inputs[1],
      {step.input(0), step.input(1), step.input(2), statistic("running_mean"), statistic("running_variance")},
      {{"epsilon", static_cast<float>(step.attribute<double>("epsilon"))}});
}
/// Called after the norm that it follows.
std::string relu_of(const Step& step, const std::string& value) {
  return step.translation.graph().node("Relu", value + "/relu", {value});
}
std::string norm_relu(const Step& step) {
  return relu_of(step, norm(step));
}
std::string preactivation_conv(const Step& step) {
  const std::string y = conv_node(step, norm_relu(step), step.one.inputs[3], /*bias=*/"");
  return step.one.inputs.size() > 4 ? step.node("Add", "add", {y, step.input(4)}) : y;
}

std::string channel_norm(const Step& step) {
  const std::string length = step.node("ReduceL2", "length", {step.input(0)}, {{"axes", Integers{1}}});
  const std::string divisor = step.node("Max", "divisor", {length, step.translation.scalar(1e-12f)});
  return step.node("Div", "channel_norm", {step.input(0), divisor});
}

std::string spatial_norm(const Step& step) {
  const auto C = static_cast<size_t>(step.shape(0)[3]);
  const auto all = [&](const char* name, float number) {
    return step.translation.graph().initialiser(name, Shape{step.shape(0)[3]}, std::vector<float>(C, number));
  };
  return step.node("InstanceNormalization", "spatial_norm", {step.input(0), all("ones", 1), all("zeros", 0)},
                   {{"epsilon", 1e-5f}});
}

std::string mask(const Step& step) {
  return step.node("Sigmoid", "mask", {step.input(0)});
}
std::string attention_merge_naive(const Step& step) {
  return step.node("Mul", "attention_merge", {mask(step), step.input(1)});
}
std::string attention_merge(const Step& step) {
  const std::string factor = step.node("Add", "one_plus_mask", {mask(step), step.translation.scalar(1)});
  return step.node("Mul", "attention_merge", {factor, step.input(1)});
}

int64_t last_axis(const Step& step) {
  return step.shape(0).rank() == 4 ? 1 : -1;
}
std::string softmax(const Step& step) {
  return step.node("Softmax", "softmax", {step.input(0)}, {{"axis", last_axis(step)}});
}
std::string log_softmax(const Step& step) {
  return step.node("LogSoftmax", "log_softmax", {step.input(0)}, {{"axis", last_axis(step)}});
}

}  // namespace

std::string translate(OnnxTranslation& translation, const RecordedOperation& operation) {
  static const std::map<std::string_view, std::string (*)(const Step&)> counterparts{
      {"add", add},
      {"attention_merge", attention_merge},
      {"attention_merge_naive", attention_merge_naive},
      {"average_pool", average_pool},
      {"batch_norm", norm},
      {"batch_norm_relu", norm_relu},
      {"channel_norm", channel_norm},
      {"concat", concat},
      {"conv", conv},
      {"global_average", global_average},
      {"linear", linear},
      {"log_softmax", log_softmax},
      {"matmul", matmul},
      {"max_pool", max_pool},
      {"mean", mean},
      {"mul", mul},
      {"preactivation_conv", preactivation_conv},
      {"relu", relu},
      {"reshape", reshape},
      {"scale", scale},
      {"sigmoid", sigmoid},
      {"softmax", softmax},
      {"spatial_norm", spatial_norm},
      {"sub", sub},
      {"sum", sum},
      {"upsample", upsample},
      {"upsample_add", upsample_add},
  };
  const auto counterpart = counterparts.find(operation.operation.name);
  return counterpart == counterparts.end() ? "" : counterpart->second({translation, operation});
}

}  // namespace fovea
