#include "fovea/core/autograd.h"

#include <atomic>
#include <map>
#include <utility>

#include "fovea/core/check.h"
#include "fovea/core/interrupt.h"

namespace fovea {
namespace {

thread_local bool grad_is_enabled = true;
thread_local const OperationCallback* operation_callback = nullptr;  // of the innermost OperationObserver

uint64_t next_sequence() {
  static std::atomic<uint64_t> sequence{0};
  return sequence++;
}

}  // namespace

/// A place in the history, without the numbers.
struct Variable::Node {
  explicit Node(bool requires_grad_) : requires_grad(requires_grad_), sequence(next_sequence()) {}
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;
  /// Frees a long history in a loop: letting the members do it would recurse once per operation. The nodes
  /// that are to go wait in a chain, which needs no memory.
  ~Node() {
    std::shared_ptr<Node> doomed;
    const auto give_up = [&doomed](std::vector<std::shared_ptr<Node>>& nodes) {
      for (std::shared_ptr<Node>& node : nodes) {
        const std::shared_ptr<Node> own = std::move(node);  // which may be there twice: add(y, y)
        if (own.use_count() == 1) {
          own->next_doomed = std::move(doomed);
          doomed = own;
        }
      }
      nodes.clear();
    };
    give_up(inputs);
    while (doomed != nullptr) {
      const std::shared_ptr<Node> node = std::move(doomed);
      doomed = std::move(node->next_doomed);
      give_up(node->inputs);
    }
  }

  bool is_leaf() const { return inputs.empty() && !backward && !was_visited; }

  /// A gradient that arrived. The first may be shared with another input (`add` hands the same dy to both),
  /// so it is added to in place only when nothing else holds its storage.
  void receive(Tensor gradient) {
    check(gradient.shape() == shape && gradient.dtype() == dtype, "backward: gradient of ", operation, " is ",
          gradient, ", wanted ", dtype, shape);
    if (bound_grad.defined()) {
      const bool is_bound = gradient.raw() == bound_grad.raw();
      if (is_lent && is_bound) {
        is_lent = false;
      } else if (is_lent || grad.defined()) {
        // What was computed in the buffer is there already, though it may arrive after this one.
        accumulate(gradient, bound_grad);
      } else if (!is_bound) {
        bound_grad.copy_from(gradient);
      }
      grad = bound_grad;
    } else if (!grad.defined()) {
      grad = std::move(gradient);
    } else {
      if (grad.use_count() > 1) grad = grad.clone();
      accumulate(gradient, grad);
    }
  }

  Shape shape;  // of the value, when it was last used
  Dtype dtype = Dtype::f32;
  Tensor grad;
  Tensor bound_grad;  // where gradients of this leaf must arrive, if defined
  bool requires_grad;
  bool is_lent = false;      // a gradient is being computed in bound_grad
  bool was_visited = false;  // backward has freed this node
  uint64_t sequence;         // every input is older than the result made from it
  const char* operation = "leaf";
  std::vector<std::shared_ptr<Node>> inputs;
  std::shared_ptr<Node> next_doomed;
  Backward backward;
  struct Saved {
    Tensor tensor;
    uint64_t version;
  };
  std::vector<Saved> saved;  // what backward needs unchanged

  void check_saved() const {
    for (const auto& [tensor, version] : saved) {
      check(tensor.version() == version, "backward: ", operation, " needs ", tensor,
            " as it was in the forward pass, at version ", version, ", but it was changed since, to version ",
            tensor.version(), "; change it after backward, or change a clone");
    }
  }
};

/// What the copies of a variable share.
struct Variable::State {
  /// The node, after telling it what the value is now: a parameter's may have changed its dtype.
  /// Where that is nothing new it writes nothing: threads may share a parameter.
  const std::shared_ptr<Node>& current_node() const {
    if (node->shape != value.shape()) node->shape = value.shape();
    if (node->dtype != value.dtype()) node->dtype = value.dtype();
    return node;
  }

  Tensor value;
  std::shared_ptr<Node> node;
  std::any note{};
};

Variable::Variable(Tensor value) : Variable(std::move(value), false) {}

Variable::Variable(Tensor value, bool requires_grad) {
  check(!requires_grad || is_floating(value.dtype()), "Variable: ", value, " cannot require a gradient");
  state_ = std::make_shared<State>(State{std::move(value), std::make_shared<Node>(requires_grad)});
  state_->current_node();
}

Variable::Node& Variable::node(const char* caller) const {
  check(defined(), caller, ": this variable is undefined");
  return *state_->node;
}

const Tensor& Variable::value() const {
  check(defined(), "Variable: this variable is undefined");
  return state_->value;
}

Tensor& Variable::value() {
  check(defined(), "Variable: this variable is undefined");
  return state_->value;
}

bool Variable::requires_grad() const {
  return defined() && state_->node->requires_grad;
}

void Variable::set_requires_grad(bool requires_grad) {
  check(node("set_requires_grad").is_leaf(), "set_requires_grad: only a leaf can be changed");
  check(!requires_grad || is_floating(dtype()), "set_requires_grad: ", value(), " cannot require a gradient");
  state_->node->requires_grad = requires_grad;
}

const Tensor& Variable::grad() const {
  return node("grad").grad;
}

void Variable::zero_grad() {
  node("zero_grad").grad = Tensor();
  state_->node->is_lent = false;
}

void Variable::bind_grad(const Tensor& buffer) {
  check(node("bind_grad").is_leaf(), "bind_grad: only a leaf can be bound");
  check(!buffer.defined() || (buffer.shape() == shape() && buffer.dtype() == dtype()),
        "bind_grad: buffer is ", buffer, ", wanted ", value());
  state_->node->bound_grad = buffer;
  zero_grad();
}

Tensor Variable::new_gradient() const {
  Node& own = node("new_gradient");
  if (!own.requires_grad || !own.bound_grad.defined() || own.grad.defined() || own.is_lent) {
    return Tensor::empty_like(value());
  }
  own.is_lent = true;
  return own.bound_grad;
}

EarlierGradient Variable::earlier_gradient() const {
  EarlierGradient earlier;
  node("earlier_gradient");
  earlier.node_ = state_->node;
  return earlier;
}

Tensor EarlierGradient::take() const {
  const std::shared_ptr<Variable::Node> node = node_.lock();
  if (node == nullptr || !node->requires_grad || node->is_leaf()) return {};
  return std::exchange(node->grad, {});
}

const std::any& Variable::note() const {
  check(defined(), "note: this variable is undefined");
  return state_->note;
}

void Variable::set_note(std::any note) {
  check(defined(), "set_note: this variable is undefined");
  state_->note = std::move(note);
}

void Variable::backward() const {
  check(value().size() == 1, "backward: the variable is ", value(),
        "; only a single number has a gradient of its own, else pass dy");
  backward(Tensor::full(shape(), 1.0, dtype(), value().device()));
}

void Variable::backward(const Tensor& dy) const {
  check(requires_grad(), "backward: the variable does not depend on anything that requires a gradient");
  const std::shared_ptr<Node> root = state_->current_node();
  check(!root->was_visited, "backward: ", root->operation,
        " has been passed already and its memory is freed; compute the result again");
  root->receive(dy);

  // Newest first: when a node's turn comes, everything made from it has sent its gradient.
  std::map<uint64_t, std::shared_ptr<Node>, std::greater<>> pending{{root->sequence, root}};
  while (!pending.empty()) {
    const std::shared_ptr<Node> node = std::move(pending.begin()->second);
    pending.erase(pending.begin());
    if (!node->backward) continue;  // a leaf keeps its gradient
    check_interrupt();
    node->check_saved();
    node->saved.clear();  // the function alone holds them now
    const Backward function = std::exchange(node->backward, nullptr);
    const std::vector<std::shared_ptr<Node>> inputs = std::exchange(node->inputs, {});
    const Tensor gradient = std::exchange(node->grad, {});
    node->was_visited = true;
    std::vector<Tensor> input_gradients = function(gradient);
    check(input_gradients.size() == inputs.size(), "backward: ", node->operation, " returned ",
          input_gradients.size(), " gradients for ", inputs.size(), " inputs");
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (!inputs[i]->requires_grad || !input_gradients[i].defined()) continue;
      check(!inputs[i]->was_visited, "backward: ", inputs[i]->operation,
            " has been passed already and its memory is freed; compute the result again");
      inputs[i]->receive(std::move(input_gradients[i]));
      pending.emplace(inputs[i]->sequence, inputs[i]);
    }
  }
}

Variable record(const Operation& operation, const Tensor& y, std::vector<Variable> inputs, Backward backward,
                std::vector<Tensor> saved) {
  check_interrupt();
  observe(operation, y, inputs);
  bool requires_grad = false;
  if (grad_is_enabled) {
    for (const Variable& input : inputs) requires_grad = requires_grad || input.requires_grad();
  }
  Variable result(y, requires_grad);
  Variable::Node& node = *result.state_->node;
  node.operation = operation.name;
  if (requires_grad) {
    for (const Variable& input : inputs) node.inputs.push_back(input.state_->current_node());
    node.backward = std::move(backward);
    node.saved.reserve(saved.size());
    for (Tensor& tensor : saved) {
      const uint64_t version = tensor.version();
      if (tensor.defined()) node.saved.push_back({std::move(tensor), version});
    }
  }
  return result;
}

void observe(const Operation& step, const Tensor& y, std::span<const Variable> inputs) {
  if (is_observed()) (*operation_callback)(step, y, inputs);
}

bool is_observed() {
  return operation_callback != nullptr && *operation_callback;
}

bool grad_enabled() {
  return grad_is_enabled;
}

NoGrad::NoGrad() : before_(std::exchange(grad_is_enabled, false)) {}
NoGrad::~NoGrad() {
  grad_is_enabled = before_;
}

OperationObserver::OperationObserver(OperationCallback callback)
    : callback_(std::move(callback)), before_(std::exchange(operation_callback, &callback_)) {}
OperationObserver::~OperationObserver() {
  operation_callback = before_;
}

}  // namespace fovea
