#pragma once

#include <string>
#include <vector>

#include "fovea/core/autograd.h"
#include "fovea/layers/module.h"

namespace fovea {

/// One operation of a forward pass.
struct RecordedOperation {
  Operation operation;
  std::vector<Variable> inputs;
  Tensor y;
  Shape shape_of_two;  // of y for two images

  /// The attribute of that name. Error for one that the operation does not have, or has in another type.
  template <class T>
  const T& attribute(std::string_view name) const;
};

/// A forward pass on one image: every tensor is kept, so that its address names it.
struct Recording {
  struct Mask {
    std::string path;  // of the attention module
    Tensor mask;
  };

  Tensor images, result;
  Shape result_shape_of_two;
  std::vector<RecordedOperation> operations;
  std::vector<Mask> masks;
};

/// Records `model` in evaluation mode on one image [height, width, 3] of random numbers. A second pass, on
/// two other images, must do the same with the same constants: Error where it does not, as that would not
/// show in a graph.
Recording record_forward(Model& model, int64_t height, int64_t width, bool masks);

}  // namespace fovea
