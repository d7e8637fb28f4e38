#include "fovea/training/onnx/recording.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <set>
#include <utility>

#include "fovea/core/check.h"
#include "fovea/core/random.h"
#include "fovea/layers/attention_module.h"

namespace fovea {
namespace {

Recording one_pass(Model& model, const Shape& images, uint64_t seed, bool masks) {
  Recording recording;
  recording.images = normal(images, Random(seed, Purpose::test)).to(place_of(model).device);
  std::map<const Module*, std::string> paths;
  for_each_module(model, [&](const std::string& path, Module& module) { paths[&module] = path; });
  const OperationObserver observer(
      [&](const Operation& operation, const Tensor& y, std::span<const Variable> inputs) {
        recording.operations.push_back({operation, {inputs.begin(), inputs.end()}, y, {}});
      });
  const auto keep_mask = [&](const AttentionModule& module, const Variable& logits, const Variable&,
                             const Variable&) {
    if (masks) recording.masks.push_back({paths[&module], module.mask_of(logits).value()});
  };
  const MergeObserver merge_observer(keep_mask);
  const NoGrad no_grad;
  const EvaluationMode evaluation(model);
  recording.result = model.forward(recording.images).value();
  return recording;
}

/// The tensors that operations of a recording have made, and its images.
std::set<const void*> made_in(const Recording& recording) {
  std::set<const void*> made{recording.images.raw()};
  for (const RecordedOperation& one : recording.operations) made.insert(one.y.raw());
  return made;
}

bool same_numbers(const Tensor& a, const Tensor& b) {
  if (a.raw() == b.raw()) return true;
  if (a.shape() != b.shape() || a.dtype() != b.dtype()) return false;
  const Tensor first = a.to(Device::cpu()), second = b.to(Device::cpu());
  return std::memcmp(first.raw(), second.raw(), first.bytes()) == 0;
}

bool same_value(const Attribute& a, const Attribute& b) {
  if (std::strcmp(a.name, b.name) != 0 || a.value.index() != b.value.index()) return false;
  if (const Tensor* tensor = std::get_if<Tensor>(&a.value))
    return same_numbers(*tensor, std::get<Tensor>(b.value));
  if (const int64_t* number = std::get_if<int64_t>(&a.value)) return *number == std::get<int64_t>(b.value);
  return std::get<double>(a.value) == std::get<double>(b.value);
}

bool same_operation(const Operation& a, const Operation& b) {
  return std::strcmp(a.name, b.name) == 0 && std::equal(a.attributes.begin(), a.attributes.end(),
                                                        b.attributes.begin(), b.attributes.end(), same_value);
}

constexpr const char* kAdvice =
    "a graph has only what follows from the images by operations of fovea/layers/functional.h";

}  // namespace

template <class T>
const T& RecordedOperation::attribute(std::string_view name) const {
  for (const Attribute& one : operation.attributes) {
    if (name == one.name && std::holds_alternative<T>(one.value)) return std::get<T>(one.value);
  }
  throw Error(str("onnx: the operation ", operation.name, " was recorded without its ", name));
}
template const int64_t& RecordedOperation::attribute(std::string_view) const;
template const double& RecordedOperation::attribute(std::string_view) const;
template const Tensor& RecordedOperation::attribute(std::string_view) const;

Recording record_forward(Model& model, int64_t height, int64_t width, bool masks) {
  Recording one = one_pass(model, {1, height, width, 3}, /*seed=*/1, masks);
  const Recording two = one_pass(model, {2, height, width, 3}, /*seed=*/2, masks);
  check(one.operations.size() == two.operations.size(), "onnx: the model records ", one.operations.size(),
        " operations on one image, and ", two.operations.size(), " on two others; ", kAdvice);
  const std::set<const void*> made_of_one = made_in(one), made_of_two = made_in(two);
  for (size_t i = 0; i < one.operations.size(); ++i) {
    RecordedOperation& a = one.operations[i];
    const RecordedOperation& b = two.operations[i];
    check(same_operation(a.operation, b.operation) && a.inputs.size() == b.inputs.size(), "onnx: operation ",
          i, " of the model is ", a.operation.name, " on one image, and ", b.operation.name,
          " of other settings on two others; ", kAdvice);
    a.shape_of_two = b.y.shape();
    for (size_t j = 0; j < a.inputs.size(); ++j) {
      if (!a.inputs[j].defined()) continue;
      const Tensor &x = a.inputs[j].value(), &other = b.inputs[j].value();
      if (made_of_one.contains(x.raw()) && made_of_two.contains(other.raw())) continue;
      check(same_numbers(x, other), "onnx: input ", j, " of the operation ", a.operation.name, ", ", x,
            ", differs from image to image, but no operation made it; ", kAdvice);
    }
  }
  check(made_of_one.contains(one.result.raw()), "onnx: no operation made the model's result; ", kAdvice);
  one.result_shape_of_two = two.result.shape();
  return one;
}

}  // namespace fovea
