#pragma once

#include <functional>

#include "fovea/layers/module.h"

/// What the tests of layers and networks share.
namespace fovea::test {

/// Normal numbers, the same for the same stream.
Tensor random_tensor(const Shape& shape, uint32_t stream, Dtype dtype = Dtype::f32);
/// N labels below `classes`, the same for the same stream.
Tensor random_labels(int64_t N, int64_t classes, uint32_t stream);

/// Checks, in f64, d(sum of dy * y) along a random direction of x and of each parameter in turn against
/// central differences, to 1e-7 of the product of the gradient's and the direction's lengths.
void check_layer_gradient(Module& layer, const std::function<Variable(const Variable&)>& forward,
                          const Shape& x);

/// ||found - wanted|| / ||wanted||
double relative_distance(const Tensor& found, const Tensor& wanted);

}  // namespace fovea::test
