#pragma once

#include <string>
#include <utility>
#include <vector>

#include "fovea/layers/module.h"

#pragma GCC visibility push(default)
namespace fovea {

/// Layers of one kind, one after another; without any, the identity.
template <class Layer>
class Sequential : public Module {
 public:
  Sequential() = default;

  void add(Layer layer) { layers.push_back(std::move(layer)); }

  Variable forward(const Variable& x) {
    Variable y = x;
    for (Layer& layer : layers) y = layer.forward(y);
    return y;
  }

  void visit(Visitor& v) override {
    for (size_t i = 0; i < layers.size(); ++i) v(std::to_string(i), layers[i]);
  }

  std::vector<Layer> layers;
};

}  // namespace fovea
#pragma GCC visibility pop
