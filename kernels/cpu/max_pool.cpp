#include "fovea/kernels/max_pool.h"

#include <array>
#include <bit>

#include "fovea/kernels/cpu/rows.h"

#ifdef __AVX2__
#include <immintrin.h>
#endif

namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT {
namespace {

/// Integers of the width of A, which compare and choose beside vectors of A.
template <class A>
using Index = std::conditional_t<sizeof(A) == 8, int64_t, int32_t>;

/// A vector of narrower integers, one for each lane of a Vec<A>.
template <class A, class Integer>
struct NarrowOf {
  typedef Integer type __attribute__((vector_size(kLanes<A> * sizeof(Integer))));
};
template <class A, class Integer>
using Narrow = typename NarrowOf<A, Integer>::type;

template <class A, class Lanes>
Vec<Index<A>> load_bytes(const uint8_t* source, Lanes lanes) {
  // GCC 12 converts element by element what more than doubles in width, so that the step for f32 is spelt
  // out.
#if defined(__AVX512F__)
  if constexpr (kLanes<A> == 16) {
    __m128i bytes{};
    std::memcpy(&bytes, source, static_cast<size_t>(lanes));
    return std::bit_cast<Vec<Index<A>>>(_mm512_cvtepu8_epi32(bytes));
  }
#elif defined(__AVX2__)
  if constexpr (kLanes<A> == 8) {
    __m128i bytes{};
    std::memcpy(&bytes, source, static_cast<size_t>(lanes));
    return std::bit_cast<Vec<Index<A>>>(_mm256_cvtepu8_epi32(bytes));
  }
#endif
  Narrow<A, uint8_t> bytes{};
  std::memcpy(&bytes, source, static_cast<size_t>(lanes));
  const auto twice = __builtin_convertvector(bytes, Narrow<A, int16_t>);
  const auto four_times = __builtin_convertvector(twice, Narrow<A, int32_t>);
  return __builtin_convertvector(four_times, Vec<Index<A>>);
}

template <class A, class Lanes>
void store_bytes(uint8_t* target, Lanes lanes, const Vec<Index<A>>& value) {
  const auto bytes = __builtin_convertvector(value, Narrow<A, uint8_t>);
  std::memcpy(target, &bytes, static_cast<size_t>(lanes));
}

/// Elements of a tensor that meet in one pixel: where the channels of each begin, and its position
/// r * size + s in its window.
struct Tap {
  int64_t offset;
  int64_t position;
};
struct Taps {
  std::array<Tap, Window::kMaxSize * Window::kMaxSize> taps;
  size_t count = 0;

  void push_back(const Tap& tap) { taps[count++] = tap; }
  const Tap* begin() const { return taps.data(); }
  const Tap* end() const { return taps.data() + count; }
};

template <class T>
void pool_one_window(const T* x, const Taps& taps, int64_t C, T* y, uint8_t* winner) {
  using A = Accumulator<T>;
  for_each_vector<A>(C, [&](int64_t c, auto lanes) {
    Vec<A> best = load(x + taps.begin()->offset + c, lanes);
    Vec<Index<A>> chosen = broadcast(static_cast<Index<A>>(taps.begin()->position));
    for (const Tap* tap = taps.begin() + 1; tap < taps.end(); ++tap) {
      const Vec<A> value = load(x + tap->offset + c, lanes);
      const auto wins = (value > best) | (value != value);
      best = wins ? value : best;
      chosen = wins ? broadcast(static_cast<Index<A>>(tap->position)) : chosen;
    }
    store(y + c, lanes, best);
    store_bytes<A>(winner + c, lanes, chosen);
  });
}

template <class T>
void gather_from_windows(const T* dy, const uint8_t* winner, const Taps& taps, int64_t C, T* dx) {
  using A = Accumulator<T>;
  for_each_vector<A>(C, [&](int64_t c, auto lanes) {
    Vec<A> sum{};
    for (const Tap& tap : taps) {
      const Vec<Index<A>> position = broadcast(static_cast<Index<A>>(tap.position));
      const auto won = load_bytes<A>(winner + tap.offset + c, lanes) == position;
      sum += won ? load(dy + tap.offset + c, lanes) : Vec<A>{};
    }
    store(dx + c, lanes, sum);
  });
}

}  // namespace

void max_pool_forward(const Tensor& x, const Window& window, Tensor& y, Tensor& winner) {
  const int64_t H = x.shape(1), W = x.shape(2), C = x.shape(3);
  const int64_t N = y.shape(0), out_h = y.shape(1), out_w = y.shape(2);
  visit_floating("max_pool", x.dtype(), [&]<class T>() {
    const T* const from = x.data<T>();
    T* const to = y.data<T>();
    uint8_t* const winners = winner.data<uint8_t>();
    parallel_for_rows(N * out_h, out_w * C * window.size * window.size, [=](int64_t row) {
      const int64_t n = row / out_h, i = row % out_h;
      const Interval rows = window.inputs_of(i, H);
      // The rows that the next output row reads first.
      const int64_t next_rows = std::min(rows.end + window.stride, H);
      for (int64_t j = 0; j < out_w; ++j) {
        const Interval columns = window.inputs_of(j, W);
        for (int64_t h = rows.end; h < next_rows; ++h) {
          prefetch(from + ((n * H + h) * W + columns.begin) * C, (columns.end - columns.begin) * C);
        }
        Taps taps;
        for (int64_t h = rows.begin; h < rows.end; ++h) {
          for (int64_t w = columns.begin; w < columns.end; ++w) {
            taps.push_back({((n * H + h) * W + w) * C, window.position(h, i, w, j)});
          }
        }
        const int64_t output = (row * out_w + j) * C;
        pool_one_window(from, taps, C, to + output, winners + output);
      }
    });
  });
}

void max_pool_backward(const Tensor& dy, const Tensor& winner, const Window& window, Tensor& dx) {
  const int64_t N = dx.shape(0), H = dx.shape(1), W = dx.shape(2), C = dx.shape(3);
  const int64_t out_h = dy.shape(1), out_w = dy.shape(2);
  visit_floating("max_pool", dx.dtype(), [&]<class T>() {
    const T* const from = dy.data<T>();
    const uint8_t* const winners = winner.data<uint8_t>();
    T* const to = dx.data<T>();
    parallel_for_rows(N * H, W * C, [=](int64_t row) {
      const int64_t n = row / H, h = row % H;
      const Interval rows = window.outputs_of(h, out_h);
      for (int64_t w = 0; w < W; ++w) {
        const Interval columns = window.outputs_of(w, out_w);
        Taps taps;
        for (int64_t i = rows.begin; i < rows.end; ++i) {
          for (int64_t j = columns.begin; j < columns.end; ++j) {
            taps.push_back({((n * out_h + i) * out_w + j) * C, window.position(h, i, w, j)});
          }
        }
        gather_from_windows(from, winners, taps, C, to + (row * W + w) * C);
      }
    });
  });
}

}  // namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT
