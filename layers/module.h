#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fovea/core/autograd.h"

#pragma GCC visibility push(default)
namespace fovea {

class Module;

/// For Visitor: v("weight", weight, StaysF32()).
struct StaysF32 {};

/// Walks over a module's fields. `Module::visit` calls it with each field's name once; parameter names,
/// counts, checkpoints, device moves, optimiser groups and freezing are all visitors.
class Visitor {
 public:
  virtual ~Visitor() = default;

  void operator()(const std::string& name, Variable& parameter) {
    if (parameter.defined()) on_parameter(path_ + name, parameter, /*stays_f32=*/false);
  }
  /// A parameter whose layer wants it in f32 whatever the precision.
  void operator()(const std::string& name, Variable& parameter, StaysF32) {
    if (parameter.defined()) on_parameter(path_ + name, parameter, /*stays_f32=*/true);
  }
  void operator()(const std::string& name, Tensor& buffer) {
    if (buffer.defined()) on_buffer(path_ + name, buffer);
  }
  void operator()(const std::string& name, Module& module);
  template <class M>
  void operator()(const std::string& name, std::optional<M>& module) {
    if (module) (*this)(name, *module);
  }
  template <class M>
  void operator()(const std::string& name, std::unique_ptr<M>& module) {
    if (module) (*this)(name, *module);
  }
  template <class M>
  void operator()(const std::string& name, std::vector<M>& modules) {
    for (size_t i = 0; i < modules.size(); ++i) (*this)(name + "." + std::to_string(i), modules[i]);
  }

 protected:
  virtual void on_parameter(const std::string& /*path*/, Variable& /*parameter*/, bool /*stays_f32*/) {}
  virtual void on_buffer(const std::string& /*path*/, Tensor& /*buffer*/) {}
  virtual void on_module(const std::string& /*path*/, Module& /*module*/) {}

 private:
  std::string path_;  // "" or "stages.0.unit."
};

/// Base of the layers: parameters and buffers under names, and whether it is being trained. Move-only: a
/// silent copy would tie the weights of two layers.
class Module {
 public:
  Module() = default;
  Module(Module&&) = default;
  Module& operator=(Module&&) = default;
  virtual ~Module() = default;

  /// Calls `visitor(name, field)` for each field that is a parameter, a buffer or a module, in order.
  virtual void visit(Visitor& visitor) = 0;

  /// Batch statistics and dropout (true, as constructed), or running statistics and no dropout. On every
  /// thread, so not while another one uses the module.
  void train(bool is_training = true);
  /// What `train` said last; false on a thread where an EvaluationMode of this module lives.
  bool is_training() const;

 private:
  bool is_training_ = true;
};

/// A module from one image batch to one result, so that models can be kept in one variable. `forward` may be
/// called from several threads at once while it is not being trained (`train(false)` before, or an
/// EvaluationMode on each thread): then the layers here change nothing; a forward of your own must not
/// either.
class Model : public Module {
 public:
  virtual Variable forward(const Variable& x) = 0;
};

/// While one lives, a module and all inside it are not being trained on this thread, whatever their own mode,
/// which it leaves alone: other threads do not see it. Ends on the thread that began it.
class EvaluationMode {
 public:
  explicit EvaluationMode(Module& module);
  ~EvaluationMode();
  EvaluationMode(const EvaluationMode&) = delete;
  EvaluationMode& operator=(const EvaluationMode&) = delete;

  /// Whether one of this thread covers the module.
  static bool covers(const Module& module);

 private:
  std::vector<const Module*> modules_;  // in the order of std::less
  EvaluationMode* outer_;               // the one that began before on this thread, or null
};

/// A parameter under its path, for example "stages.0.modules.1.trunk.0.reduce.weight".
struct NamedParameter {
  std::string path;
  Variable variable;  // shares the module's node
  bool stays_f32 = false;
};
/// A buffer likewise.
struct NamedBuffer {
  std::string path;
  Tensor tensor;  // shares the module's storage
};
/// All of a module and the modules inside it, in the order of `visit`.
std::vector<NamedParameter> named_parameters(Module& module);
std::vector<NamedBuffer> named_buffers(Module& module);
/// Number of elements of all parameters.
int64_t parameter_count(Module& module);

/// Where a module computes, and in what.
struct Place {
  Device device = Device::cpu();
  Dtype dtype = Dtype::f32;
};
/// The place of a module's first parameter; the CPU and f32 for a module without parameters.
Place place_of(Module& module);

/// Moves every parameter and buffer to a device. Parameters keep their variables.
void move_to(Module& module, Device device);
/// Converts every parameter and buffer to a floating dtype.
void convert_to(Module& module, Dtype dtype);
/// Replaces every buffer by `change` of it.
void replace_buffers(Module& module, const std::function<Tensor(const Tensor&)>& change);
/// Calls `body(path, module)` for the module itself (path "") and every module inside it.
void for_each_module(Module& module, const std::function<void(const std::string&, Module&)>& body);

}  // namespace fovea
#pragma GCC visibility pop
