#pragma once

#include <any>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "fovea/core/tensor.h"

#pragma GCC visibility push(default)
namespace fovea {

/// Given the gradient of the result, returns the gradient of each input, in the inputs' order; an undefined
/// tensor where an input needs none.
using Backward = std::function<std::vector<Tensor>(const Tensor& dy)>;

class EarlierGradient;

/// What an operation does beside its inputs: a number such as a stride, or a tensor such as running
/// statistics.
struct Attribute {
  const char* name;
  std::variant<int64_t, double, Tensor> value;
};

/// An operation's name and attributes, for observers. Implicit in both directions: most have a name alone,
/// and most observers look at that alone.
struct Operation {
  // NOLINTNEXTLINE(google-explicit-constructor)
  Operation(const char* name_, std::vector<Attribute> attributes_ = {})
      : name(name_), attributes(std::move(attributes_)) {}
  operator std::string_view() const { return name; }  // NOLINT(google-explicit-constructor)

  const char* name;
  std::vector<Attribute> attributes;
};

/// A Tensor that remembers how it was made, so that gradients can flow back. Copies are the same variable.
/// The history of a result does not hold the numbers it was made from: those that `backward` did not capture
/// are freed with the last copy of their variable.
class Variable {
 public:
  Variable() = default;
  /// A leaf that needs no gradient: data. Implicit, so that a Tensor can be passed to any F:: function.
  Variable(Tensor value);  // NOLINT(google-explicit-constructor)
  /// A leaf; with requires_grad a parameter.
  Variable(Tensor value, bool requires_grad);

  bool defined() const { return state_ != nullptr; }
  const Tensor& value() const;
  Tensor& value();
  const Shape& shape() const { return value().shape(); }
  int64_t shape(int axis) const { return value().shape(axis); }
  Dtype dtype() const { return value().dtype(); }
  bool requires_grad() const;
  /// Makes a leaf a parameter or freezes it. An Error for a result.
  void set_requires_grad(bool requires_grad);

  /// The gradient gathered so far; undefined if there is none. Kept for leaves only.
  const Tensor& grad() const;
  /// Forgets the gradient. The next one to arrive replaces it, later ones add up.
  void zero_grad();
  /// Makes gradients arrive in `buffer` (same shape and dtype), for example a part of an arena; an undefined
  /// one ends that.
  void bind_grad(const Tensor& buffer);

  /// Memory for a gradient of this variable that a `backward` is about to compute: the bound buffer if
  /// nothing has arrived there, so that it need not be copied; else a new tensor.
  Tensor new_gradient() const;

  /// For the backward pass of an operation on this variable: what has arrived here by then from elsewhere.
  EarlierGradient earlier_gradient() const;

  /// What operations tell those that come after them about this variable; empty at first. Of any type on
  /// which both agree; copies of the variable share it.
  const std::any& note() const;
  void set_note(std::any note);

  /// Adds d(this)/d(leaf) to the gradient of every leaf that requires one. Without `dy` this must be a
  /// single number. Each node's memory is freed as soon as its gradient has gone on; a second call is an
  /// Error, and so is a value that has changed since an operation used it and whose old numbers the gradient
  /// needs.
  void backward() const;
  void backward(const Tensor& dy) const;

  /// A variable with this value and no history.
  Variable detach() const { return Variable(value()); }
  /// Whether both are the same variable (not merely equal numbers).
  bool same_as(const Variable& other) const { return state_ == other.state_; }

 private:
  friend class EarlierGradient;
  struct Node;
  struct State;
  friend Variable record(const Operation&, const Tensor&, std::vector<Variable>, Backward,
                         std::vector<Tensor>);
  Node& node(const char* caller) const;

  std::shared_ptr<State> state_;
};

/// The gradient that has arrived at an input from elsewhere before a backward pass comes to it: one that adds
/// it to its own spares the pass that would add the two. Holds no numbers.
class EarlierGradient {
 public:
  EarlierGradient() = default;
  /// Hands it over, once: what the caller returns for this input must contain it. Undefined if nothing has
  /// arrived, and for leaves, which gather gradients of several calls of backward. Others may share it: not
  /// to be changed.
  Tensor take() const;

 private:
  friend class Variable;
  std::weak_ptr<Variable::Node> node_;
};

/// The result `y` of `operation`, made from `inputs`. Its history is kept if gradients are on and an input
/// requires one; what `backward` captures is what is kept in memory. `saved`: those tensors among them whose
/// numbers it needs as they are now, and which others can change: where one has changed by the time its
/// gradient is wanted (see Tensor::version), that is an Error. Undefined ones are left out.
Variable record(const Operation& operation, const Tensor& y, std::vector<Variable> inputs, Backward backward,
                std::vector<Tensor> saved = {});

/// Whether results keep their history on this thread.
bool grad_enabled();

/// While one lives, results on this thread keep no history.
class NoGrad {
 public:
  NoGrad();
  ~NoGrad();
  NoGrad(const NoGrad&) = delete;
  NoGrad& operator=(const NoGrad&) = delete;

 private:
  bool before_;
};

/// Called for every operation that this thread records while an OperationObserver lives.
using OperationCallback =
    std::function<void(const Operation& operation, const Tensor& y, std::span<const Variable> inputs)>;

/// Tells the OperationObserver of this thread of a step inside an operation, with the result of that step.
void observe(const Operation& step, const Tensor& y, std::span<const Variable> inputs);
/// Whether there is one.
bool is_observed();

/// For counting, tracing and finding the operation that made a NaN: calls `callback` after every operation.
class OperationObserver {
 public:
  explicit OperationObserver(OperationCallback callback);
  ~OperationObserver();
  OperationObserver(const OperationObserver&) = delete;
  OperationObserver& operator=(const OperationObserver&) = delete;

 private:
  OperationCallback callback_;
  const OperationCallback* before_;
};

/// y += x, for gradients that add up. Declared here, and defined with the kernels, because it is the one
/// formula that autograd needs.
void accumulate(const Tensor& x, Tensor& y);

}  // namespace fovea
#pragma GCC visibility pop
