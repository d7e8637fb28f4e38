#pragma once

#include <onnx/onnx_pb.h>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "fovea/core/tensor.h"

namespace fovea {

/// A graph of ONNX under construction: names are unique, and what is computed of the same values in the same
/// way is computed once.
class OnnxGraph {
 public:
  /// Attributes of a node by their names.
  using Attributes =
      std::vector<std::pair<std::string, std::variant<int64_t, float, std::string, std::vector<int64_t>>>>;

  /// A node with one result, whose name, which is returned, is that of the node: `name`, with a number where
  /// that is taken. An equal node that is there already is taken instead.
  std::string node(const std::string& type, const std::string& name, const std::vector<std::string>& inputs,
                   const Attributes& attributes = {});
  /// f32 numbers as they lie in memory, in this shape.
  std::string initialiser(const std::string& name, const Shape& shape, const Tensor& numbers);
  std::string initialiser(const std::string& name, const Shape& shape, const std::vector<float>& numbers);
  std::string initialiser(const std::string& name, const std::vector<int64_t>& numbers);

  /// Keeps a name for `output`.
  void reserve(const std::string& name) { names_.insert(name); }
  /// The input: -1 stands for the number of images.
  void input(const std::string& name, int32_t type, const std::vector<int64_t>& shape);
  /// Calls a value by a reserved name from here on, and makes it an output, f32.
  void output(const std::string& value, const std::string& name, const std::vector<int64_t>& shape);

  ::onnx::GraphProto take() { return std::move(proto_); }

 private:
  std::string unique(const std::string& name);
  void value_info(::onnx::ValueInfoProto& info, const std::string& name, int32_t type,
                  const std::vector<int64_t>& shape);
  std::string raw_initialiser(const std::string& name, const Shape& shape, int32_t type, std::string bytes);

  ::onnx::GraphProto proto_;
  std::set<std::string> names_;
  std::map<std::string, std::string> values_;  // by what they are: type, attributes and inputs, or numbers
};

}  // namespace fovea
