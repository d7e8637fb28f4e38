#include "fovea/kernels/batch_norm.h"

#include <cmath>
#include <vector>

#include "fovea/kernels/cpu/column_sums.h"
#include "fovea/kernels/cpu/rows.h"

namespace fovea::kernels::cpu {
namespace {

constexpr int64_t kShortestRow = 64;  // of the element-wise passes

/// [rows, C] seen as fewer rows of `width` = fold * C numbers, so that loops along a row are long enough for
/// the vectors even where there are few channels.
struct Folded {
  int64_t rows, width, fold;

  Folded(int64_t rows_, int64_t C, int64_t shortest) : rows(rows_), width(C), fold(1) {
    while (width < shortest && rows % 2 == 0) {
      rows /= 2;
      width *= 2;
      fold *= 2;
    }
  }
  /// Per-channel coefficients, for each of the `width` numbers.
  template <class A>
  std::vector<A> repeated(const std::vector<A>& coefficients) const {
    std::vector<A> result;
    for (int64_t i = 0; i < fold; ++i) result.insert(result.end(), coefficients.begin(), coefficients.end());
    return result;
  }
  int64_t grain() const { return std::max<int64_t>(1, 16384 / width); }
};

/// What a pass needs of each channel: y = (x - mean) * scale + shift. Subtracting first keeps the digits of a
/// channel whose mean is far larger than its deviation.
template <class A>
struct Affine {
  std::vector<A> mean, rstd, scale, shift;

  Affine(const Tensor& mean_, const Tensor& variance, const Tensor& weight, const Tensor& bias,
         double epsilon) {
    const int64_t C = mean_.size();
    for (int64_t c = 0; c < C; ++c) {
      const A r = A(1) / std::sqrt(variance.data<A>()[c] + static_cast<A>(epsilon));
      mean.push_back(mean_.data<A>()[c]);
      rstd.push_back(r);
      scale.push_back(weight.data<A>()[c] * r);
      shift.push_back(bias.data<A>()[c]);
    }
  }
};

template <class T>
void statistics(const Tensor& x, Tensor& mean, Tensor& variance) {
  using A = Accumulator<T>;
  const int64_t C = mean.size();
  const Folded folded(x.size() / C, C, kLanes<A>);
  const int64_t width = folded.width, chunk_rows = rows_per_chunk(width);
  const T* values = x.data<T>();
  // Differences from the first row of the chunk, so that a large mean does not cancel the variance.
  const auto term_at = [=](int64_t c, auto lanes) {
    return [=](int64_t row) {
      const T* origin = values + row / chunk_rows * chunk_rows * width + c;
      const Vec<A> d = load(values + row * width + c, lanes) - load(origin, lanes);
      return std::array<Vec<A>, 2>{d, d * d};
    };
  };
  const std::vector<A> partials = column_sums_by_chunk<A, 2>(folded.rows, width, term_at);
  // Parts are joined by the parallel form of Welford's method (Chan, Golub, LeVeque 1979), in order.
  for (int64_t c = 0; c < C; ++c) {
    double count = 0, average = 0, squares = 0;
    for (int64_t begin = 0; begin < folded.rows; begin += chunk_rows) {
      const double n = static_cast<double>(std::min(chunk_rows, folded.rows - begin));
      for (int64_t column = c; column < width; column += C) {
        const auto at = static_cast<size_t>(begin / chunk_rows * 2 * width + column);
        const double sum = static_cast<double>(partials[at]);
        const double sum_of_squares = static_cast<double>(partials[at + static_cast<size_t>(width)]);
        const double origin = static_cast<double>(static_cast<A>(values[begin * width + column]));
        const double delta = origin + sum / n - average;
        squares += sum_of_squares - sum * sum / n + delta * delta * count * n / (count + n);
        average += delta * n / (count + n);
        count += n;
      }
    }
    mean.data<A>()[c] = static_cast<A>(average);
    variance.data<A>()[c] = static_cast<A>(std::max(0.0, squares / count));
  }
}

template <class T>
void forward(const Tensor& x, const Affine<Accumulator<T>>& affine, bool has_relu, Tensor& y) {
  using A = Accumulator<T>;
  const int64_t C = static_cast<int64_t>(affine.scale.size());
  const Folded folded(x.size() / C, C, kShortestRow);
  const std::vector<A> means = folded.repeated(affine.mean), scales = folded.repeated(affine.scale),
                       shifts = folded.repeated(affine.shift);
  const A floor = has_relu ? A(0) : -std::numeric_limits<A>::infinity();
  parallel_for(folded.rows, folded.grain(), [&](int64_t begin, int64_t end) {
    const A *mean = means.data(), *scale = scales.data(), *shift = shifts.data();
    for (int64_t row = begin; row < end; ++row) {
      const T* from = x.data<T>() + row * folded.width;
      T* __restrict to = y.data<T>() + row * folded.width;
      for (int64_t i = 0; i < folded.width; ++i) {
        const A value = (static_cast<A>(from[i]) - mean[i]) * scale[i] + shift[i];
        to[i] = T(value < floor ? floor : value);  // a NaN stays
      }
    }
  });
}

template <class T>
void backward_reduce(const Tensor& dy, const Tensor& x, const Affine<Accumulator<T>>& affine, bool has_relu,
                     Tensor& dweight, Tensor& dbias) {
  using A = Accumulator<T>;
  const int64_t C = dweight.size();
  const Folded folded(x.size() / C, C, kLanes<A>);
  const int64_t width = folded.width;
  const std::vector<A> means = folded.repeated(affine.mean), scales = folded.repeated(affine.scale),
                       shifts = folded.repeated(affine.shift);
  const T *xs = x.data<T>(), *dys = dy.data<T>();
  const auto term_at = [&](int64_t c, auto lanes) {
    const Vec<A> scale = load(scales.data() + c, lanes), shift = load(shifts.data() + c, lanes),
                 mean = load(means.data() + c, lanes);
    const bool keep_all = !has_relu;
    return [=](int64_t row) {
      const Vec<A> centred = load(xs + row * width + c, lanes) - mean;
      Vec<A> g = load(dys + row * width + c, lanes);
      if (!keep_all) g = centred * scale + shift > broadcast(A(0)) ? g : broadcast(A(0));
      return std::array<Vec<A>, 2>{g, g * centred};
    };
  };
  const std::vector<double> sums = column_sums<A, 2>(folded.rows, width, term_at);
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

template <class T>
void backward_input(const Tensor& dy, const Tensor& x, const Affine<Accumulator<T>>& affine,
                    const Tensor& dweight, const Tensor& dbias, bool has_relu, bool training, Tensor& dx) {
  using A = Accumulator<T>;
  const int64_t C = dweight.size(), rows = x.size() / C;
  // dx = scale * g + slope * (x - mean) + offset
  std::vector<A> slope(static_cast<size_t>(C), A(0)), offset(static_cast<size_t>(C), A(0));
  if (training) {
    for (size_t c = 0; c < slope.size(); ++c) {
      const A mean_g = dbias.data<A>()[c] / static_cast<A>(rows);
      const A mean_g_xhat = dweight.data<A>()[c] / static_cast<A>(rows);
      slope[c] = -affine.scale[c] * mean_g_xhat * affine.rstd[c];
      offset[c] = -affine.scale[c] * mean_g;
    }
  }
  const Folded folded(rows, C, kShortestRow);
  const std::vector<A> means = folded.repeated(affine.mean), scales = folded.repeated(affine.scale),
                       shifts = folded.repeated(affine.shift), slopes = folded.repeated(slope),
                       offsets = folded.repeated(offset);
  const A floor = has_relu ? A(0) : -std::numeric_limits<A>::infinity();
  parallel_for(folded.rows, folded.grain(), [&](int64_t begin, int64_t end) {
    const A *mean = means.data(), *scale = scales.data(), *shift = shifts.data();
    const A *slope_of = slopes.data(), *offset_of = offsets.data();
    for (int64_t row = begin; row < end; ++row) {
      const T* value = x.data<T>() + row * folded.width;
      const T* gradient = dy.data<T>() + row * folded.width;
      T* to = dx.data<T>() + row * folded.width;
      for_each_vector<A>(folded.width, [&](int64_t i, auto lanes) {
        const Vec<A> centred = load(value + i, lanes) - load(mean + i, lanes), d = load(gradient + i, lanes);
        const Vec<A> factor = load(scale + i, lanes);
        const Vec<A> g = centred * factor + load(shift + i, lanes) > floor ? d : Vec<A>{};
        store(to + i, lanes, factor * g + load(slope_of + i, lanes) * centred + load(offset_of + i, lanes));
      });
    }
  });
}

}  // namespace

void batch_norm_statistics(const Tensor& x, Tensor& mean, Tensor& variance) {
  visit_floating("batch_norm_statistics", x.dtype(), [&]<class T>() { statistics<T>(x, mean, variance); });
}

void batch_norm_update_running(const Tensor& mean, const Tensor& variance, int64_t rows, double momentum,
                               Tensor& running_mean, Tensor& running_variance) {
  const double unbiased = rows > 1 ? static_cast<double>(rows) / static_cast<double>(rows - 1) : 1.0;
  visit_floating("batch_norm_update_running", mean.dtype(), [&]<class T>() {
    const auto move = [&](const Tensor& from, double factor, Tensor& to) {
      for (int64_t c = 0; c < from.size(); ++c) {
        const double old = static_cast<double>(static_cast<Accumulator<T>>(to.data<T>()[c]));
        const double batch = factor * static_cast<double>(static_cast<Accumulator<T>>(from.data<T>()[c]));
        to.data<T>()[c] = T(static_cast<Accumulator<T>>((1.0 - momentum) * old + momentum * batch));
      }
    };
    move(mean, 1.0, running_mean);
    move(variance, unbiased, running_variance);
  });
}

void batch_norm_forward(const Tensor& x, const Tensor& mean, const Tensor& variance, const Tensor& weight,
                        const Tensor& bias, double epsilon, bool has_relu, Tensor& y) {
  visit_floating("batch_norm_forward", x.dtype(), [&]<class T>() {
    forward<T>(x, Affine<Accumulator<T>>(mean, variance, weight, bias, epsilon), has_relu, y);
  });
}

void batch_norm_backward_reduce(const Tensor& dy, const Tensor& x, const Tensor& mean, const Tensor& variance,
                                const Tensor& weight, const Tensor& bias, double epsilon, bool has_relu,
                                Tensor& dweight, Tensor& dbias) {
  visit_floating("batch_norm_backward_reduce", x.dtype(), [&]<class T>() {
    backward_reduce<T>(dy, x, Affine<Accumulator<T>>(mean, variance, weight, bias, epsilon), has_relu,
                       dweight, dbias);
  });
}

void batch_norm_backward_input(const Tensor& dy, const Tensor& x, const Tensor& mean, const Tensor& variance,
                               const Tensor& weight, const Tensor& bias, const Tensor& dweight,
                               const Tensor& dbias, double epsilon, bool has_relu, bool training,
                               Tensor& dx) {
  visit_floating("batch_norm_backward_input", x.dtype(), [&]<class T>() {
    backward_input<T>(dy, x, Affine<Accumulator<T>>(mean, variance, weight, bias, epsilon), dweight, dbias,
                      has_relu, training, dx);
  });
}

}  // namespace fovea::kernels::cpu
