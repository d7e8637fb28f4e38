#include "fovea/kernels/batch_norm.h"

#include <limits>
#include <vector>

#include "fovea/kernels/cpu/affine.h"
#include "fovea/kernels/cpu/column_sums.h"
#include "fovea/kernels/cpu/moments.h"
#include "fovea/kernels/cpu/move_running.h"
#include "fovea/kernels/cpu/rows.h"

namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT {
namespace {

constexpr int64_t kShortestRow = 64;  // of the element-wise passes

/// [rows, C] seen as fewer rows of `width` = fold * C numbers, so that loops along a row are long enough for
/// the vectors even where there are few channels.
struct Folded {
  int64_t rows, width, fold;

  Folded(int64_t rows_, int64_t C, int64_t shortest) : rows(rows_), width(C), fold(1) {
    // A row lies within a group.
    while (width < shortest && rows % (2 * batch_groups()) == 0) {
      rows /= 2;
      width *= 2;
      fold *= 2;
    }
  }
  int64_t grain() const { return std::max<int64_t>(1, 16384 / width); }
};

template <class T>
void statistics(const Tensor& x, Tensor& mean, Tensor& variance) {
  using A = Accumulator<T>;
  const int64_t C = mean.size();
  const Folded folded(x.size() / C, C, kLanes<A>);
  const int64_t width = folded.width;
  const GroupedChunks chunks(folded.rows, rows_per_chunk(width));
  const T* values = x.data<T>();
  std::vector<A> origins(static_cast<size_t>(chunks.count() * width));
  const auto terms_of = [&](int64_t chunk) {
    return [=, to = origins.data() + chunk * width](int64_t c, auto lanes, Interval rows) {
      const auto value_at = [=](int64_t row) { return load(values + row * width + c, lanes); };
      const Vec<A> origin = origin_of<A>(rows, value_at);
      store(to + c, lanes, origin);
      return [=](int64_t row) {
        const Vec<A> d = value_at(row) - origin;
        return std::array<Vec<A>, 2>{d, d * d};
      };
    };
  };
  const std::vector<A> partials = column_sums_by_chunk<A, 2>(chunks, width, terms_of);
  finish_moments(chunks, width, mean, variance, [&](int64_t chunk, Moments& moments) {
    const A* sums = partials.data() + chunk * 2 * width;
    moments.add(chunks.units(chunk).count(), origins.data() + chunk * width, sums, sums + width);
  });
}

template <class T>
void forward(const Tensor& x, const NormConstants& norm, bool has_relu, Tensor& y) {
  using A = Accumulator<T>;
  const int64_t C = norm.mean.size();
  const Folded folded(x.size() / C, C, kShortestRow);
  const Affine<A> affine(norm, folded.fold);
  const A floor = has_relu ? A(0) : -std::numeric_limits<A>::infinity();
  parallel_for(folded.rows, folded.grain(), [&](int64_t begin, int64_t end) {
    const A *mean = affine.mean.data(), *scale = affine.scale.data(), *shift = affine.shift.data();
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
void backward_reduce(const Tensor& dy, const Tensor& x, const NormConstants& norm, bool has_relu,
                     Tensor& dweight, Tensor& dbias) {
  using A = Accumulator<T>;
  const int64_t C = dweight.size();
  const Folded folded(x.size() / C, C, kLanes<A>);
  const Affine<A> affine(norm, folded.fold);
  const int64_t width = folded.width;
  const T *xs = x.data<T>(), *dys = dy.data<T>();
  const auto term_at = [&](int64_t c, auto lanes, Interval) {
    const AffineVec<A> channels = affine.at(c, lanes);
    return [=](int64_t row) {
      const int64_t i = row * width + c;
      return channels.gradient_terms(load(xs + i, lanes), load(dys + i, lanes), has_relu);
    };
  };
  finish_reduce(column_sums<A, 2>(folded.rows, width, term_at), affine, dweight, dbias);
}

template <class T>
void backward_input(const Tensor& dy, const Tensor& x, const NormConstants& norm, const Tensor& dweight,
                    const Tensor& dbias, bool has_relu, const Tensor& other, Tensor& dx) {
  using A = Accumulator<T>;
  const int64_t C = dweight.size(), rows = x.size() / C;
  const Folded folded(rows, C, kShortestRow);
  const BackwardAffine<A> affine(norm, dweight, dbias, rows, folded.fold);
  const T* const others = other.defined() ? other.data<T>() : nullptr;
  parallel_for(folded.rows, folded.grain(), [&](int64_t begin, int64_t end) {
    const int64_t first = begin * folded.width, count = (end - begin) * folded.width;
    const T *gradient = dy.data<T>() + first, *value = x.data<T>() + first;
    T* const to = dx.data<T>() + first;
    if (others == nullptr) {
      affine.for_each(count, has_relu, [=](int64_t i, auto lanes, const auto& input_gradient) {
        prefetch_ahead(gradient + i);
        prefetch_ahead(value + i);
        store(to + i, lanes, input_gradient(load(gradient + i, lanes), load(value + i, lanes)));
      });
    } else {
      const T* const added = others + first;
      affine.for_each(count, has_relu, [=](int64_t i, auto lanes, const auto& input_gradient) {
        prefetch_ahead(gradient + i);
        prefetch_ahead(value + i);
        prefetch_ahead(added + i);
        store(to + i, lanes,
              input_gradient(load(gradient + i, lanes), load(value + i, lanes)) + load(added + i, lanes));
      });
    }
  });
}

}  // namespace

void batch_norm_statistics(const Tensor& x, Tensor& mean, Tensor& variance) {
  visit_floating("batch_norm_statistics", x.dtype(), [&]<class T>() { statistics<T>(x, mean, variance); });
}

void move_running(const NormConstants& norm, int64_t rows) {
  const RunningStatistics& running = norm.running;
  if (!running.mean.defined()) return;
  visit_floating("batch_norm_forward", norm.mean.dtype(), [&]<class T>() {
    const auto move = [share = running.momentum](const Tensor& from, double factor, Tensor to) {
      for (int64_t c = 0; c < from.size(); ++c) {
        const double old = static_cast<double>(static_cast<Accumulator<T>>(to.data<T>()[c]));
        const double batch = factor * static_cast<double>(static_cast<Accumulator<T>>(from.data<T>()[c]));
        to.data<T>()[c] = T(static_cast<Accumulator<T>>((1.0 - share) * old + share * batch));
      }
    };
    move(norm.mean, 1.0, running.mean);
    move(norm.variance, unbiased_factor(rows * norm.shares), running.variance);
  });
}

void batch_norm_forward(const Tensor& x, const NormConstants& norm, bool has_relu, Tensor& y) {
  move_running(norm, x.size() / norm.mean.size());
  visit_floating("batch_norm_forward", x.dtype(), [&]<class T>() { forward<T>(x, norm, has_relu, y); });
}

void batch_norm_backward_reduce(const Tensor& dy, const Tensor& x, const NormConstants& norm, bool has_relu,
                                Tensor& dweight, Tensor& dbias) {
  visit_floating("batch_norm_backward_reduce", x.dtype(),
                 [&]<class T>() { backward_reduce<T>(dy, x, norm, has_relu, dweight, dbias); });
}

void batch_norm_backward_input(const Tensor& dy, const Tensor& x, const NormConstants& norm,
                               const Tensor& dweight, const Tensor& dbias, bool has_relu, const Tensor& other,
                               Tensor& dx) {
  visit_floating("batch_norm_backward_input", x.dtype(),
                 [&]<class T>() { backward_input<T>(dy, x, norm, dweight, dbias, has_relu, other, dx); });
}

}  // namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT
