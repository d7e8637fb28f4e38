#pragma once

#include "fovea/kernels/cpu/rows.h"

namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT {

/// The sum over pixels of term(pixel), a vector of channels, for images [H, W]: each row is summed first,
/// then the sums of the rows, so that rounding errors grow with H + W, not with H * W.
template <class A, class Term>
inline Vec<A> sum_over_pixels(int64_t H, int64_t W, Term&& term) {
  Vec<A> total{};
  for (int64_t h = 0; h < H; ++h) {
    Vec<A> sum{};
    for (int64_t w = 0; w < W; ++w) sum += term(h * W + w);
    total += sum;
  }
  return total;
}

/// Calls body(n, c, lanes) for each vector of channels of each image, in parallel; `pixels` is H * W.
template <class A, class Body>
void parallel_for_image_vectors(int64_t N, int64_t C, int64_t pixels, Body&& body) {
  const int64_t vectors = (C + kLanes<A> - 1) / kLanes<A>;
  parallel_for_rows(N * vectors, pixels * kLanes<A>, [&](int64_t row) {
    const int64_t c = row % vectors * kLanes<A>;
    if (c + kLanes<A> <= C) {
      body(row / vectors, c, AllLanes<A>());
    } else {
      body(row / vectors, c, static_cast<int>(C - c));
    }
  });
}

}  // namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT
