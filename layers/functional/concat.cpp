#include "fovea/kernels/concat.h"

#include "fovea/layers/functional.h"
#include "fovea/layers/functional/defined.h"

namespace fovea {
namespace {

/// The tensor as [O, I]: the axes before `axis`, and the rest.
Tensor as_rows(const Tensor& x, int axis) {
  const Shape& shape = x.shape();
  return x.reshape({shape.size(0, axis), shape.size(axis, shape.rank())});
}

}  // namespace

Variable F::concat(const std::vector<Variable>& parts, int axis) {
  check(!parts.empty(), "concat: there are no parts");
  for (const Variable& part : parts) check_defined("concat", "a part", part);
  const Shape& first = parts[0].shape();
  const int rank = first.rank();
  check(axis >= -rank && axis < rank, "concat: axis ", axis, " of ", first, " does not exist");
  if (axis < 0) axis += rank;
  int64_t extent = 0;
  for (const Variable& part : parts) {
    const bool fits = part.shape().rank() == rank && part.shape().with(axis, 1) == first.with(axis, 1) &&
                      part.dtype() == parts[0].dtype();
    check(fits, "concat: one part is ", parts[0].value(), ", another ", part.value(),
          "; they may differ along axis ", axis, " only");
    extent += part.shape(axis);
  }

  const Tensor y = Tensor::empty(first.with(axis, extent), parts[0].dtype(), parts[0].value().device());
  Tensor rows = as_rows(y, axis);
  std::vector<Shape> shapes;
  std::vector<bool> needed;
  int64_t offset = 0;
  for (const Variable& part : parts) {
    const Tensor x = as_rows(part.value(), axis);
    kernels::concat_forward(x, offset, rows);
    offset += x.shape(1);
    shapes.push_back(part.shape());
    needed.push_back(part.requires_grad());
  }
  return record({"concat", {{"axis", int64_t{axis}}}}, y, parts, [shapes, needed, axis](const Tensor& dy) {
    const Tensor dy_rows = as_rows(dy, axis);
    std::vector<Tensor> gradients(shapes.size());
    int64_t start = 0;
    for (size_t i = 0; i < shapes.size(); ++i) {
      const int64_t width = shapes[i].size(axis, shapes[i].rank());
      if (needed[i]) {
        gradients[i] = Tensor::empty(shapes[i], dy.dtype(), dy.device());
        Tensor dx = as_rows(gradients[i], axis);
        kernels::concat_backward(dy_rows, start, dx);
      }
      start += width;
    }
    return gradients;
  });
}

}  // namespace fovea
