#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>

#include "fovea/kernels/kernel.h"

#pragma GCC visibility push(default)
namespace fovea::kernels {

/// A matrix of rows x columns that lies in a larger tensor from element `offset` on, row after row.
struct MatrixPlace {
  int64_t offset = 0, rows = 0, columns = 0;

  int64_t size() const { return rows * columns; }
  /// The shorter side.
  int64_t rank() const { return std::min(rows, columns); }
  /// sqrt(rows / columns), where that is above 1: with it an update changes what the matrix gives by as much
  /// whatever its shape.
  double scale() const {
    return std::sqrt(std::max(1.0, static_cast<double>(rows) / static_cast<double>(columns)));
  }
};

/// Newton-Schulz's iteration X <- a X + (b G + c G G) X, with G = X X^T, on X / (|X| + epsilon), moves all
/// singular values that are not tiny to between 0.7 and 1.2 in a few rounds: they need not be 1.
struct NewtonSchulz {
  double a = 3.4445, b = -4.7750, c = 2.0315;
  double epsilon = 1e-7;  // below which a matrix stays small
  int rounds = 5;
};

/// Replaces each of the matrices X in x by scale() * U V^T, about, where U S V^T is its singular value
/// decomposition: by Newton-Schulz's iteration (Jordan et al., "Muon: an optimizer for hidden layers in
/// neural networks", 2024). What lies between them stays.  x: [size], f32 or f64
FOVEA_MULTIPLYING_KERNEL(orthogonalise, std::span<const MatrixPlace> matrices, const NewtonSchulz& iteration,
                         Tensor& x);

}  // namespace fovea::kernels
#pragma GCC visibility pop
