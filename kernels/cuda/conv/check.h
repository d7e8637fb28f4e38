#pragma once

#include <cstdint>

#include "fovea/core/tensor.h"

/// What it takes to try an engine: numbers to try it on, and a judgement of what it gave.
namespace fovea::kernels::cuda {

/// Fills a tensor with uniform numbers of mean 0 and variance 1; `seed` makes them different.
void fill_with_noise(Tensor& x, uint64_t seed);

/// How many elements are not within tolerance * (|wanted| + typical) of what is wanted. Waits for the answer.
int64_t count_differences(const Tensor& found, const Tensor& wanted, double tolerance, double typical);

}  // namespace fovea::kernels::cuda
