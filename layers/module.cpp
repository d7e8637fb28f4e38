#include "fovea/layers/module.h"

#include <algorithm>
#include <functional>

#include "fovea/kernels/cast.h"

namespace fovea {

void Visitor::operator()(const std::string& name, Module& module) {
  const std::string before = path_;
  on_module(before + name, module);
  path_ = before + name + ".";
  module.visit(*this);
  path_ = before;
}

namespace {

thread_local EvaluationMode* innermost_evaluation = nullptr;

/// A visitor made of functions; an empty one is skipped.
struct FunctionVisitor : Visitor {
  std::function<void(const std::string&, Variable&, bool stays_f32)> parameter;
  std::function<void(const std::string&, Tensor&)> buffer;
  std::function<void(const std::string&, Module&)> module;

 protected:
  void on_parameter(const std::string& path, Variable& variable, bool stays_f32) override {
    if (parameter) parameter(path, variable, stays_f32);
  }
  void on_buffer(const std::string& path, Tensor& tensor) override {
    if (buffer) buffer(path, tensor);
  }
  void on_module(const std::string& path, Module& inner) override {
    if (module) module(path, inner);
  }
};

/// Replaces the numbers of every parameter and buffer by `change` of them.
void replace_values(Module& module, const std::function<Tensor(const Tensor&)>& change) {
  FunctionVisitor visitor;
  visitor.parameter = [&](const std::string&, Variable& parameter, bool) {
    parameter.value() = change(parameter.value());
    parameter.zero_grad();
  };
  visitor.buffer = [&](const std::string&, Tensor& buffer) { buffer = change(buffer); };
  module.visit(visitor);
}

}  // namespace

void Module::train(bool is_training) {
  for_each_module(*this, [&](const std::string&, Module& module) { module.is_training_ = is_training; });
}

bool Module::is_training() const {
  return is_training_ && !EvaluationMode::covers(*this);
}

EvaluationMode::EvaluationMode(Module& module) {
  for_each_module(module, [&](const std::string&, Module& inner) { modules_.push_back(&inner); });
  std::sort(modules_.begin(), modules_.end(), std::less<>());
  outer_ = innermost_evaluation;
  innermost_evaluation = this;
}

EvaluationMode::~EvaluationMode() {
  EvaluationMode** place = &innermost_evaluation;
  while (*place != this) place = &(*place)->outer_;
  *place = outer_;
}

bool EvaluationMode::covers(const Module& module) {
  for (const EvaluationMode* mode = innermost_evaluation; mode != nullptr; mode = mode->outer_) {
    if (std::binary_search(mode->modules_.begin(), mode->modules_.end(), &module, std::less<>())) return true;
  }
  return false;
}

std::vector<NamedParameter> named_parameters(Module& module) {
  std::vector<NamedParameter> result;
  FunctionVisitor visitor;
  visitor.parameter = [&](const std::string& path, Variable& parameter, bool stays_f32) {
    result.push_back({path, parameter, stays_f32});
  };
  module.visit(visitor);
  return result;
}

std::vector<NamedBuffer> named_buffers(Module& module) {
  std::vector<NamedBuffer> result;
  FunctionVisitor visitor;
  visitor.buffer = [&](const std::string& path, Tensor& buffer) { result.push_back({path, buffer}); };
  module.visit(visitor);
  return result;
}

int64_t parameter_count(Module& module) {
  int64_t count = 0;
  for (const NamedParameter& parameter : named_parameters(module)) count += parameter.variable.value().size();
  return count;
}

Place place_of(Module& module) {
  const std::vector<NamedParameter> parameters = named_parameters(module);
  if (parameters.empty()) return {};
  const Tensor& first = parameters[0].variable.value();
  return {first.device(), first.dtype()};
}

void move_to(Module& module, Device device) {
  replace_values(module, [&](const Tensor& value) { return value.to(device); });
}

void convert_to(Module& module, Dtype dtype) {
  replace_values(module, [&](const Tensor& value) {
    if (value.dtype() == dtype) return value;
    Tensor converted = Tensor::empty(value.shape(), dtype, value.device());
    kernels::cast_forward(value, converted);
    return converted;
  });
}

void replace_buffers(Module& module, const std::function<Tensor(const Tensor&)>& change) {
  FunctionVisitor visitor;
  visitor.buffer = [&](const std::string&, Tensor& buffer) { buffer = change(buffer); };
  module.visit(visitor);
}

void for_each_module(Module& module, const std::function<void(const std::string&, Module&)>& body) {
  FunctionVisitor visitor;
  visitor.module = body;
  body("", module);
  module.visit(visitor);
}

}  // namespace fovea
