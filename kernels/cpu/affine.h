#pragma once

#include <cmath>
#include <numeric>
#include <vector>

#include "fovea/kernels/batch_norm.h"
#include "fovea/kernels/cpu/rows.h"

/// A batch norm as numbers per channel, for the CPU's kernels.
namespace fovea::kernels::cpu {

/// y = (x - mean) * scale + shift. Subtracting first keeps the digits of a channel whose mean is far larger
/// than its deviation. The numbers of the channels are repeated `fold` times, for loops over several rows.
template <class A>
struct Affine {
  std::vector<A> mean, rstd, scale, shift;

  Affine(const Normalisation& norm, int64_t fold) {
    for (int64_t i = 0; i < fold; ++i) {
      for (int64_t c = 0; c < norm.mean.size(); ++c) {
        const A r = A(1) / std::sqrt(norm.variance.data<A>()[c] + static_cast<A>(norm.epsilon));
        mean.push_back(norm.mean.data<A>()[c]);
        rstd.push_back(r);
        scale.push_back(norm.weight.data<A>()[c] * r);
        shift.push_back(norm.bias.data<A>()[c]);
      }
    }
  }
};

/// How often the channels must be repeated to make whole vectors.
inline int64_t fold_of(int64_t C) {
  return std::lcm(C, int64_t{kLanes<float>}) / C;
}

/// to = relu((from - mean) * scale + shift), for `count` numbers: whole rows of the affine's width.
inline void activate(const Affine<float>& affine, const float* from, int64_t count, float* to) {
  const auto width = static_cast<int64_t>(affine.mean.size());
  const AllLanes<float> lanes;
  const float *mean = affine.mean.data(), *scale = affine.scale.data(), *shift = affine.shift.data();
  for (int64_t row = 0; row < count; row += width) {
    for (int64_t c = 0; c < width; c += kLanes<float>) {
      prefetch_ahead(from + row + c);
      const Vec<float> value =
          (load(from + row + c, lanes) - load(mean + c, lanes)) * load(scale + c, lanes) +
          load(shift + c, lanes);
      store(to + row + c, lanes, value < Vec<float>{} ? Vec<float>{} : value);  // a NaN stays
    }
  }
}

/// dx = scale * g + slope * (x - mean) + offset, where g = dy, or 0 where the relu was 0.
template <class A>
struct BackwardAffine : Affine<A> {
  std::vector<A> slope, offset;

  /// `rows` of x in the whole batch.
  BackwardAffine(const Normalisation& norm, const Tensor& dweight, const Tensor& dbias, int64_t rows,
                 int64_t fold)
      : Affine<A>(norm, fold) {
    const auto C = static_cast<size_t>(norm.mean.size());
    for (size_t i = 0; i < this->mean.size(); ++i) {
      const A share = norm.of_batch ? -this->scale[i] / static_cast<A>(rows) : A(0);
      slope.push_back(share * dweight.data<A>()[i % C] * this->rstd[i]);
      offset.push_back(share * dbias.data<A>()[i % C]);
    }
  }

  /// Calls body(i, lanes, dx(dy, x)) for the vectors that cover [0, count), whole rows of the width: dx is a
  /// function of the numbers from i on. The relu was 0 where y was not above `floor`.
  template <class Body>
  void for_each(int64_t count, A floor, Body&& body) const {
    // The pointers are copied: a store might change those in the vectors, for all that the compiler knows.
    const A *means = this->mean.data(), *scales = this->scale.data(), *shifts = this->shift.data(),
            *slopes = slope.data(), *offsets = offset.data();
    const auto width = static_cast<int64_t>(slope.size());
    for (int64_t row = 0; row < count; row += width) {
      for_each_vector<A>(width, [&](int64_t c, auto lanes) {
        const auto dx = [&](const Vec<A>& dy, const Vec<A>& x) {
          const Vec<A> centred = x - load(means + c, lanes), factor = load(scales + c, lanes);
          const Vec<A> g = centred * factor + load(shifts + c, lanes) > broadcast(floor) ? dy : Vec<A>{};
          return factor * g + load(slopes + c, lanes) * centred + load(offsets + c, lanes);
        };
        body(row + c, lanes, dx);
      });
    }
  }
};

/// dweight and dbias from sums over the rows, [2, fold * C], of g and of g * (x - mean).
template <class A>
void finish_reduce(const std::vector<double>& sums, const Affine<A>& affine, Tensor& dweight, Tensor& dbias) {
  const int64_t C = dweight.size(), width = static_cast<int64_t>(sums.size()) / 2;
  for (int64_t c = 0; c < C; ++c) {
    double sum = 0, weighted = 0;
    for (int64_t column = c; column < width; column += C) {
      sum += sums[static_cast<size_t>(column)];
      weighted += sums[static_cast<size_t>(width + column)];
    }
    dbias.data<A>()[c] = static_cast<A>(sum);
    dweight.data<A>()[c] =
        static_cast<A>(weighted * static_cast<double>(affine.rstd[static_cast<size_t>(c)]));
  }
}

}  // namespace fovea::kernels::cpu
