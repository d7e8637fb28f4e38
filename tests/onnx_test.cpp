// Graphs of ONNX, read back; that ONNX Runtime gives the same numbers is seen at each export with it.
#include "fovea/training/onnx.h"

#include <onnx/onnx_pb.h>
#include <catch2/catch.hpp>
#include <cstring>
#include <functional>
#include <map>
#include <set>

#include "fovea/core/random.h"
#include "fovea/layers/linear.h"
#include "fovea/models/zoo.h"
#include "test_files.h"
#include "variants.h"

namespace fovea {
namespace {

using Catch::Contains;

::onnx::GraphProto graph_of(Model& model, const OnnxSettings& settings = {},
                            ::onnx::ModelProto* file = nullptr) {
  ::onnx::ModelProto read;
  REQUIRE(read.ParseFromString(onnx_bytes(model, {{0.5f, 0.25f, 0.125f}, {2, 4, 8}}, settings)));
  if (file != nullptr) *file = read;
  return read.graph();
}

std::string described(const ::onnx::ValueInfoProto& value) {
  const ::onnx::TypeProto::Tensor& type = value.type().tensor_type();
  std::string text = value.name() + (type.elem_type() == ::onnx::TensorProto::UINT8 ? " u8" : " f32");
  for (const auto& axis : type.shape().dim()) {
    text += " " + (axis.dim_param().empty() ? std::to_string(axis.dim_value()) : axis.dim_param());
  }
  return text;
}

const ::onnx::NodeProto& node_called(const ::onnx::GraphProto& graph, const std::string& name) {
  for (const ::onnx::NodeProto& node : graph.node()) {
    if (node.name() == name) return node;
  }
  throw Error("there is no node " + name);
}

/// "Conv kernel_shape=3,3 pads=1,1,1,1 strides=2,2"
std::string described(const ::onnx::NodeProto& node) {
  std::map<std::string, std::string> attributes;
  for (const ::onnx::AttributeProto& one : node.attribute()) {
    std::string& text = attributes[one.name()];
    for (const int64_t number : one.ints()) text += (text.empty() ? "" : ",") + std::to_string(number);
    if (one.type() == ::onnx::AttributeProto::INT) text = std::to_string(one.i());
    if (one.type() == ::onnx::AttributeProto::FLOAT) text = str(one.f());
    if (one.type() == ::onnx::AttributeProto::STRING) text = one.s();
  }
  std::string text = node.op_type();
  for (const auto& [key, value] : attributes) text += " " + key + "=" + value;
  return text;
}

/// A model of one function.
struct Of : Model {
  explicit Of(std::function<Variable(const Variable&)> body_) : body(std::move(body_)) {}
  Variable forward(const Variable& x) override { return body(x); }
  void visit(Visitor& v) override { v("linear", linear); }
  Rng rng{/*seed=*/1};
  Linear linear{3, 2, rng};
  std::function<Variable(const Variable&)> body;
};

Variable square(const Variable& x) {
  const Tensor y = F::mul(x.detach(), x.detach()).value().clone();
  return record("square", y, {x}, {});
}

std::string error_of(const std::function<Variable(const Variable&)>& body) {
  Of model(body);
  return message_of<Error>([&] { onnx_bytes(model, {}, {}); });
}

TEST_CASE("onnx: a graph of each network has every weight under its path, with the same bits") {
  for (const test::Variant& variant : test::variants()) {
    INFO(variant.name);
    const std::unique_ptr<Model> model = variant.make(/*seed=*/1);
    const ::onnx::GraphProto graph =
        graph_of(*model, {.masks = variant.name.find("preact") == std::string::npos});
    std::map<std::string, const ::onnx::TensorProto*> stored;
    for (const ::onnx::TensorProto& tensor : graph.initializer()) stored[tensor.name()] = &tensor;
    std::vector<std::pair<std::string, Tensor>> wanted;
    for (const NamedParameter& one : named_parameters(*model))
      wanted.emplace_back(one.path, one.variable.value());
    for (const NamedBuffer& one : named_buffers(*model)) wanted.emplace_back(one.path, one.tensor);
    for (const auto& [path, numbers] : wanted) {
      INFO(path);
      REQUIRE(stored.contains(path));
      const std::string& bytes = stored[path]->raw_data();
      REQUIRE(bytes.size() == numbers.bytes());
      if (numbers.rank() != 4) {
        CHECK(std::memcmp(bytes.data(), numbers.raw(), bytes.size()) == 0);
        continue;
      }
      const int64_t C = numbers.shape(3), P = numbers.shape(1) * numbers.shape(2);
      CHECK(stored[path]->dims(1) == C);
      bool is_same = true;
      for (int64_t i = 0; i < numbers.size(); ++i) {
        const int64_t k = i / (P * C), p = i / C % P, c = i % C;
        is_same = is_same &&
                  std::memcmp(bytes.data() + 4 * ((k * C + c) * P + p), numbers.data<float>() + i, 4) == 0;
      }
      CHECK(is_same);
    }
  }
}

TEST_CASE("onnx: input, outputs and metadata are as the settings want them") {
  ModelOptions options;
  options.t = 1;
  const std::unique_ptr<Model> model = make_model("attention-nano", options, /*seed=*/1);
  ::onnx::ModelProto file;
  const ::onnx::GraphProto graph = graph_of(*model, {.name = "nano", .metadata = {{"classes", "[]"}}}, &file);
  CHECK(graph.name() == "nano");
  CHECK(file.opset_import(0).version() == 17);
  CHECK(file.producer_name() == "fovea");
  std::map<std::string, std::string> metadata;
  for (const auto& entry : file.metadata_props()) metadata[entry.key()] = entry.value();
  CHECK(metadata == std::map<std::string, std::string>{
                        {"classes", "[]"}, {"mean", "0.5 0.25 0.125"}, {"deviation", "2 4 8"}});
  REQUIRE(graph.input_size() == 1);
  CHECK(described(graph.input(0)) == "images u8 N 32 32 3");
  REQUIRE(graph.output_size() == 1);
  CHECK(described(graph.output(0)) == "probabilities f32 N 10");

  const ::onnx::GraphProto with_masks =
      graph_of(*model, {.height = 40, .width = 48, .input = OnnxInput::f32, .logits = true, .masks = true});
  CHECK(described(with_masks.input(0)) == "images f32 N 3 40 48");
  REQUIRE(with_masks.output_size() == 4);
  CHECK(described(with_masks.output(0)) == "logits f32 N 10");
  CHECK(described(with_masks.output(1)) == "stages.0.modules.0.mask f32 N 32 40 48");
  CHECK(described(with_masks.output(3)) == "stages.2.modules.0.mask f32 N 128 10 12");
  // The mask is that of the merge, computed once.
  CHECK(with_masks.node_size() == graph.node_size() - 4);  // cast, transpose, division by 255, softmax
}

TEST_CASE("onnx: nodes bear the paths of their layers, and the layers' settings") {
  const std::unique_ptr<Model> model = make_model("attention-nano", {}, /*seed=*/1);
  const ::onnx::GraphProto graph = graph_of(*model);
  const auto node = [&](const char* name) { return described(node_called(graph, name)); };
  CHECK(node("stem") == "Conv kernel_shape=3,3 pads=1,1,1,1 strides=1,1");
  CHECK(node("stages.1.unit.conv") == "Conv kernel_shape=3,3 pads=1,1,1,1 strides=2,2");
  CHECK(node("stages.1.unit.project") == "Conv kernel_shape=1,1 pads=0,0,0,0 strides=2,2");
  CHECK(node("stages.1.unit.norm1") == "BatchNormalization epsilon=1e-05");
  CHECK(node("stages.1.unit.norm1/relu") == "Relu");
  CHECK(node("stages.1.unit/add") == "Add");
  CHECK(node("stages.0.modules.0/max_pool") == "MaxPool kernel_shape=3,3 pads=1,1,1,1 strides=2,2");
  CHECK(node("stages.0.modules.0.mask/upsample") ==
        "Resize coordinate_transformation_mode=align_corners mode=linear");
  CHECK(node("stages.0.modules.0/mask") == "Sigmoid");
  CHECK(node("stages.0.modules.0/attention_merge") == "Mul");
  CHECK(node("linear") == "Gemm transB=1");
  int64_t convolutions = 0;
  std::set<std::string> names;
  for (const ::onnx::NodeProto& one : graph.node()) {
    convolutions += one.op_type() == "Conv" ? 1 : 0;
    names.insert(one.name());
  }
  CHECK(names.size() == static_cast<size_t>(graph.node_size()));
  std::set<std::string> filters;
  for (const ::onnx::TensorProto& tensor : graph.initializer()) {
    if (tensor.dims_size() == 4 && tensor.name().ends_with(".weight")) filters.insert(tensor.name());
  }
  CHECK(convolutions == static_cast<int64_t>(filters.size()));
}

TEST_CASE("onnx: operations that the networks do not have are nodes as well") {
  Rng rng(/*seed=*/1);
  const Linear last(3, 2, rng);
  Tensor mean = Tensor::zeros({3}), variance = Tensor::full({3}, 1.0);
  const Variable ones(Tensor::full({3}, 1.0));
  Of model([&](const Variable& x) {
    const Variable both = F::concat({x, F::sub(x, F::relu(x))}, -1);                 // [N, 32, 32, 6]
    const Variable rows = F::sum(F::average_pool(F::scale(both, 0.5), 2, 2, 0), 2);  // [N, 16, 6]
    const Variable flat = F::mean(F::reshape(rows, {x.shape(0), 32, 3}), 1);         // [N, 3]
    const Variable normal = F::batch_norm(flat, ones, ones, mean, variance, {.training = false});
    return F::log_softmax(F::matmul(F::softmax(normal), Tensor::full({3, 2}, 0.25)));  // [N, 2]
  });
  const ::onnx::GraphProto graph = graph_of(model, {.logits = true});
  std::string types;
  for (const ::onnx::NodeProto& node : graph.node()) types += node.op_type() + " ";
  CHECK(types ==
        "Cast Transpose Div Sub Div Relu Sub Transpose Transpose Concat Transpose Mul AveragePool Transpose "
        "ReduceSum Reshape ReduceMean BatchNormalization Softmax MatMul LogSoftmax ");
  CHECK(described(graph.output(0)) == "logits f32 N 2");
}

TEST_CASE("onnx: what has no counterpart is an error that names it and its layer") {
  CHECK_THAT(error_of([](const Variable& x) { return F::global_average(square(x)); }),
             Contains("the operation square of the model has no counterpart in ONNX"));
  Rng rng(/*seed=*/1);
  struct Inner : Model {
    explicit Inner(Rng& rng_) : first(3, 3, rng_), second(3, 2, rng_) {}
    Variable forward(const Variable& x) override {
      return second.forward(square(first.forward(F::global_average(x))));
    }
    void visit(Visitor& v) override { v("part.first", first), v("part.second", second); }
    Linear first, second;
  };
  Inner inner(rng);
  CHECK_THAT(message_of<Error>([&] { onnx_bytes(inner, {}, {}); }),
             Contains("the operation square of part has no counterpart in ONNX"));
}

TEST_CASE("onnx: what is computed past the operations is an error, not a constant of the graph") {
  CHECK_THAT(error_of([](const Variable& x) {
               const Variable y = F::global_average(x);
               return F::add(y, Variable(y.value().clone()));
             }),
             Contains("input 1 of the operation add") && Contains("but no operation made it"));
  CHECK_THAT(error_of([](const Variable& x) { return Variable(F::global_average(x).value().clone()); }),
             Contains("no operation made the model's result"));
  CHECK_THAT(error_of([](const Variable& x) {
               const Variable y = F::global_average(x);
               return F::scale(y, static_cast<double>(y.value().span<float>()[0]));
             }),
             Contains("is scale on one image, and scale of other settings on two others"));
  CHECK_THAT(error_of([](const Variable& x) {
               const Variable y = F::global_average(x);
               return x.shape(0) > 1 ? F::relu(y) : y;
             }),
             Contains("1 operations on one image, and 2 on two others"));
}

TEST_CASE("onnx: a model in 16 bits, and masks of one without any, are refused") {
  const std::unique_ptr<Model> model = make_model("preact-resnet164", {}, /*seed=*/1);
  CHECK_THAT(message_of<UsageError>([&] { onnx_bytes(*model, {}, {.masks = true}); }),
             Contains("the model has no attention modules"));
  convert_to(*model, Dtype::bf16);
  CHECK_THAT(message_of<UsageError>([&] { onnx_bytes(*model, {}, {}); }),
             Contains("the model is in bf16, wanted f32"));
}

}  // namespace
}  // namespace fovea
