#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <vector>

#include "fovea/kernels/batch_norm.h"
#include "fovea/kernels/cpu/rows.h"

/// A batch norm as numbers per channel, for the CPU's kernels.
namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT {

/// The numbers of an Affine for the channels of one vector.
template <class A>
struct AffineVec {
  Vec<A> mean, scale, shift;

  /// relu((x - mean) * scale + shift)
  Vec<A> activate(Vec<A> x) const {
    const Vec<A> value = (x - mean) * scale + shift;
    return value < Vec<A>{} ? Vec<A>{} : value;  // a NaN stays
  }

  /// dy, or 0 where the relu was 0, if there is one; a NaN passes dy on.
  Vec<A> gate(Vec<A> centred, Vec<A> dy, bool has_relu) const {
    if (!has_relu) return dy;
    return centred * scale + shift <= Vec<A>{} ? Vec<A>{} : dy;
  }

  /// What finish_reduce wants the sums of: g and g * (x - mean), where g is the gradient behind the relu.
  std::array<Vec<A>, 2> gradient_terms(Vec<A> x, Vec<A> dy, bool has_relu = true) const {
    const Vec<A> centred = x - mean, g = gate(centred, dy, has_relu);
    return {g, g * centred};
  }
};

/// y = (x - mean) * scale + shift. Subtracting first keeps the digits of a channel whose mean is far larger
/// than its deviation. The numbers of the channels are repeated `fold` times, for loops over several rows.
template <class A>
struct Affine {
  std::vector<A> mean, rstd, scale, shift;

  Affine(const NormConstants& norm, int64_t fold) {
    const auto C = static_cast<size_t>(norm.mean.size()), width = C * static_cast<size_t>(fold);
    const A *means = norm.mean.data<A>(), *variances = norm.variance.data<A>(),
            *weights = norm.weight.data<A>(), *biases = norm.bias.data<A>();
    const A epsilon = static_cast<A>(norm.epsilon);
    for (auto* numbers : {&mean, &rstd, &scale, &shift}) numbers->resize(width);
    for (size_t i = 0; i < width; ++i) {
      const size_t c = i % C;
      mean[i] = means[c];
      rstd[i] = A(1) / std::sqrt(variances[c] + epsilon);
      scale[i] = weights[c] * rstd[i];
      shift[i] = biases[c];
    }
  }

  template <class Lanes>
  AffineVec<A> at(int64_t c, Lanes lanes) const {
    return {load(mean.data() + c, lanes), load(scale.data() + c, lanes), load(shift.data() + c, lanes)};
  }

  /// Calls body(row, c, relu((x - mean) * scale + shift)) for the vectors of some rows x, whole ones:
  /// together they load the numbers of a channel once.
  template <class T, class Body>
  void activate_rows(const T* x, int64_t rows, Body&& body) const {
    const auto width = static_cast<int64_t>(mean.size());
    const AllLanes<A> lanes;
    for (int64_t c = 0; c < width; c += kLanes<A>) {
      const AffineVec<A> channels = at(c, lanes);
      for (int64_t row = 0; row < rows; ++row) {
        body(row, c, channels.activate(load(x + row * width + c, lanes)));
      }
    }
  }
};

/// How often the channels must be repeated to make whole vectors.
inline int64_t fold_of(int64_t C) {
  return std::lcm(C, int64_t{kLanes<float>}) / C;
}

/// to = relu((from - mean) * scale + shift), for `count` numbers: whole rows of the affine's width, which is
/// one of whole vectors.
template <class T>
void activate(const Affine<float>& affine, const T* from, int64_t count, float* to) {
  constexpr int64_t kRows = 4;
  const auto width = static_cast<int64_t>(affine.mean.size());
  for (int64_t begin = 0; begin < count; begin += kRows * width) {
    const int64_t rows = std::min(kRows, (count - begin) / width);
    affine.activate_rows(from + begin, rows, [=](int64_t row, int64_t c, Vec<float> value) {
      const int64_t i = begin + row * width + c;
      prefetch_ahead(from + i);
      store(to + i, AllLanes<float>(), value);
    });
  }
}

/// dx = scale * g + slope * (x - mean) + offset, where g = dy, or 0 where the relu was 0.
template <class A>
struct BackwardAffine : Affine<A> {
  std::vector<A> slope, offset;

  /// `rows` of x, one of norm.shares.
  BackwardAffine(const NormConstants& norm, const Tensor& dweight, const Tensor& dbias, int64_t rows,
                 int64_t fold)
      : Affine<A>(norm, fold) {
    const auto C = static_cast<size_t>(norm.mean.size()), width = this->mean.size();
    const A *dweights = dweight.data<A>(), *dbiases = dbias.data<A>();
    slope.resize(width);
    offset.resize(width);
    for (size_t i = 0; i < width; ++i) {
      if (!norm.of_batch) continue;  // 0, whatever the gradients are
      const A share = -this->scale[i] / static_cast<A>(rows * norm.shares);
      slope[i] = share * dweights[i % C] * this->rstd[i];
      offset[i] = share * dbiases[i % C];
    }
  }

  /// Calls body(row, c, lanes, dx) for some rows and the vectors of channels: dx(dy, x) is the gradient at
  /// these channels, and the rows load their numbers once.
  template <class Body>
  void for_rows(int64_t rows, bool has_relu, Body&& body) const {
    for_each_vector<A>(static_cast<int64_t>(slope.size()), [&](int64_t c, auto lanes) {
      const AffineVec<A> channels = this->at(c, lanes);
      const Vec<A> slopes = load(slope.data() + c, lanes), offsets = load(offset.data() + c, lanes);
      const auto dx = [&](Vec<A> dy, Vec<A> x) {
        const Vec<A> centred = x - channels.mean;
        return channels.scale * channels.gate(centred, dy, has_relu) + slopes * centred + offsets;
      };
      for (int64_t row = 0; row < rows; ++row) body(row, c, lanes, dx);
    });
  }

  /// Calls body(i, lanes, dx) for the vectors that cover [0, count), whole rows.
  template <class Body>
  void for_each(int64_t count, bool has_relu, Body&& body) const {
    const auto width = static_cast<int64_t>(slope.size());
    for (int64_t begin = 0; begin < count; begin += width) {
      for_rows(1, has_relu,
               [&](int64_t, int64_t c, auto lanes, const auto& dx) { body(begin + c, lanes, dx); });
    }
  }
};

/// dweight and dbias from sums over the rows of every group, [groups, 2, fold * C], of g and of
/// g * (x - mean).
template <class A>
void finish_reduce(const std::vector<double>& sums, const Affine<A>& affine, Tensor& dweight, Tensor& dbias) {
  const int64_t C = dweight.size(), width = static_cast<int64_t>(affine.mean.size()),
                groups = static_cast<int64_t>(sums.size()) / (2 * width);
  A *const dweights = dweight.data<A>(), *const dbiases = dbias.data<A>();
  for (int64_t c = 0; c < C; ++c) {
    // Of a group's sums, of which `begin` is the first.
    const auto sum_of = [&](int64_t group, int64_t begin) {
      const double* const from = sums.data() + group * 2 * width + begin;
      double sum = 0;
      for (int64_t column = c; column < width; column += C) sum += from[column];
      return sum;
    };
    const double rstd = static_cast<double>(affine.rstd[static_cast<size_t>(c)]);
    dbiases[c] = sum_by_pairs<A>(groups, [&](int64_t group) { return static_cast<A>(sum_of(group, 0)); });
    dweights[c] =
        sum_by_pairs<A>(groups, [&](int64_t group) { return static_cast<A>(sum_of(group, width) * rstd); });
  }
}

}  // namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT
