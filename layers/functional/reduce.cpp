#include "fovea/kernels/reduce.h"

#include <vector>

#include "fovea/layers/functional.h"
#include "fovea/layers/functional/defined.h"

namespace fovea {
namespace {

/// factor * the sum over axes [begin, end), which go away.
Variable reduce(const char* operation, const Variable& x, int begin, int end, double factor) {
  const Shape& shape = x.shape();
  const int64_t O = shape.size(0, begin), R = shape.size(begin, end), I = shape.size(end, shape.rank());
  std::vector<int64_t> kept;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    if (axis < begin || axis >= end) kept.push_back(shape[axis]);
  }
  const Tensor y = Tensor::empty(Shape(kept), x.dtype(), x.value().device());
  Tensor sums = y.reshape({O, I});
  kernels::reduce_forward(x.value().reshape({O, R, I}), factor, sums);
  return record({operation, {{"begin", int64_t{begin}}, {"end", int64_t{end}}}}, y, {x},
                [=](const Tensor& dy) -> std::vector<Tensor> {
                  const Tensor dx = Tensor::empty(shape, dy.dtype(), dy.device());
                  Tensor rows = dx.reshape({O, R, I});
                  kernels::reduce_backward(dy.reshape({O, I}), factor, rows);
                  return {dx};
                });
}

int checked_axis(const char* operation, const Variable& x, int axis) {
  const int rank = x.shape().rank();
  check(axis >= -rank && axis < rank, operation, ": axis ", axis, " of ", x.value(), " does not exist");
  return axis < 0 ? axis + rank : axis;
}

/// 1 / count; a mean of nothing is an error.
double share(const Variable& x, int64_t count) {
  check(count > 0, "mean: of no elements: x is ", x.value());
  return 1.0 / static_cast<double>(count);
}

}  // namespace

Variable F::sum(const Variable& x) {
  check_defined("sum", "x", x);
  return reduce("sum", x, 0, x.shape().rank(), 1.0);
}

Variable F::sum(const Variable& x, int axis) {
  check_defined("sum", "x", x);
  axis = checked_axis("sum", x, axis);
  return reduce("sum", x, axis, axis + 1, 1.0);
}

Variable F::mean(const Variable& x) {
  check_defined("mean", "x", x);
  return reduce("mean", x, 0, x.shape().rank(), share(x, x.value().size()));
}

Variable F::mean(const Variable& x, int axis) {
  check_defined("mean", "x", x);
  axis = checked_axis("mean", x, axis);
  return reduce("mean", x, axis, axis + 1, share(x, x.shape(axis)));
}

}  // namespace fovea
