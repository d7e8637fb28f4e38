#include "fovea/training/onnx/graph.h"

#include "fovea/core/check.h"

namespace fovea {
namespace {

std::string bytes_of(const void* numbers, size_t count) {
  return std::string(static_cast<const char*>(numbers), count);
}

void set_value(::onnx::AttributeProto& attribute, int64_t value) {
  attribute.set_type(::onnx::AttributeProto::INT);
  attribute.set_i(value);
}
void set_value(::onnx::AttributeProto& attribute, float value) {
  attribute.set_type(::onnx::AttributeProto::FLOAT);
  attribute.set_f(value);
}
void set_value(::onnx::AttributeProto& attribute, const std::string& value) {
  attribute.set_type(::onnx::AttributeProto::STRING);
  attribute.set_s(value);
}
void set_value(::onnx::AttributeProto& attribute, const std::vector<int64_t>& values) {
  attribute.set_type(::onnx::AttributeProto::INTS);
  for (const int64_t value : values) attribute.add_ints(value);
}

}  // namespace

std::string OnnxGraph::unique(const std::string& name) {
  std::string result = name;
  for (int64_t number = 2; !names_.insert(result).second; ++number) result = str(name, "_", number);
  return result;
}

std::string OnnxGraph::node(const std::string& type, const std::string& name,
                            const std::vector<std::string>& inputs, const Attributes& attributes) {
  ::onnx::NodeProto node;
  node.set_op_type(type);
  for (const std::string& input : inputs) node.add_input(input);
  for (const auto& [key, value] : attributes) {
    ::onnx::AttributeProto& attribute = *node.add_attribute();
    attribute.set_name(key);
    std::visit([&](const auto& held) { set_value(attribute, held); }, value);
  }
  std::string& result = values_[node.SerializeAsString()];
  if (!result.empty()) return result;
  result = unique(name);
  node.set_name(result);
  node.add_output(result);
  *proto_.add_node() = std::move(node);
  return result;
}

std::string OnnxGraph::raw_initialiser(const std::string& name, const Shape& shape, int32_t type,
                                       std::string bytes) {
  ::onnx::TensorProto tensor;
  tensor.set_name(unique(name));
  tensor.set_data_type(type);
  for (int axis = 0; axis < shape.rank(); ++axis) tensor.add_dims(shape[axis]);
  tensor.set_raw_data(std::move(bytes));
  *proto_.add_initializer() = std::move(tensor);
  return proto_.initializer(proto_.initializer_size() - 1).name();
}

std::string OnnxGraph::initialiser(const std::string& name, const Shape& shape, const Tensor& numbers) {
  check(numbers.dtype() == Dtype::f32, "onnx: ", name, " is ", numbers, ", wanted f32");
  return raw_initialiser(name, shape, ::onnx::TensorProto::FLOAT, bytes_of(numbers.raw(), numbers.bytes()));
}

std::string OnnxGraph::initialiser(const std::string& name, const Shape& shape,
                                   const std::vector<float>& numbers) {
  std::string bytes = bytes_of(numbers.data(), numbers.size() * sizeof(float));
  std::string& result = values_[str("f32 ", shape, bytes)];
  if (result.empty()) result = raw_initialiser(name, shape, ::onnx::TensorProto::FLOAT, std::move(bytes));
  return result;
}

std::string OnnxGraph::initialiser(const std::string& name, const std::vector<int64_t>& numbers) {
  std::string bytes = bytes_of(numbers.data(), numbers.size() * sizeof(int64_t));
  std::string& result = values_["i64 " + bytes];
  if (result.empty()) {
    const Shape shape{static_cast<int64_t>(numbers.size())};
    result = raw_initialiser(name, shape, ::onnx::TensorProto::INT64, std::move(bytes));
  }
  return result;
}

void OnnxGraph::value_info(::onnx::ValueInfoProto& info, const std::string& name, int32_t type,
                           const std::vector<int64_t>& shape) {
  info.set_name(name);
  ::onnx::TypeProto::Tensor& tensor = *info.mutable_type()->mutable_tensor_type();
  tensor.set_elem_type(type);
  ::onnx::TensorShapeProto& dimensions = *tensor.mutable_shape();
  for (const int64_t extent : shape) {
    ::onnx::TensorShapeProto::Dimension& dimension = *dimensions.add_dim();
    if (extent < 0) {
      dimension.set_dim_param("N");
    } else {
      dimension.set_dim_value(extent);
    }
  }
}

void OnnxGraph::input(const std::string& name, int32_t type, const std::vector<int64_t>& shape) {
  value_info(*proto_.add_input(), unique(name), type, shape);
}

void OnnxGraph::output(const std::string& value, const std::string& name, const std::vector<int64_t>& shape) {
  for (::onnx::NodeProto& node : *proto_.mutable_node()) {
    for (std::string& input : *node.mutable_input()) {
      if (input == value) input = name;
    }
    for (std::string& result : *node.mutable_output()) {
      if (result == value) result = name;
    }
  }
  value_info(*proto_.add_output(), name, ::onnx::TensorProto::FLOAT, shape);
}

}  // namespace fovea
