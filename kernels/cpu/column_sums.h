#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "fovea/core/parallel_for.h"
#include "fovea/kernels/cpu/grouped_chunks.h"
#include "fovea/kernels/cpu/rows.h"

/// Sums over the rows of [rows, C] arrays, per channel: the reduction under batch norm and bias gradients.
namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT {

/// Rows per chunk: a number that comes from the shape alone, so that sums do not depend on the threads; and
/// few enough for sums of squares to keep their digits.
inline int64_t rows_per_chunk(int64_t C) {
  return std::clamp<int64_t>(65536 / std::max<int64_t>(C, 1), 64, 1024);
}

/// What the differences of some rows are taken from, so that a large mean does not cancel the variance: the
/// average of the first four. A single row may lie some deviations away, whose square would cost digits.
template <class A, class ValueAt>
Vec<A> origin_of(Interval rows, ValueAt&& value_at) {
  if (rows.count() < 4) return value_at(rows.begin);
  const int64_t first = rows.begin;
  return A(0.25) * ((value_at(first) + value_at(first + 1)) + (value_at(first + 2) + value_at(first + 3)));
}

/// Rows of a run, which has sums of its own that are added to those of the chunk: rounding errors grow with
/// the length of a run and with the number of runs, not with the rows of a chunk.
inline constexpr int64_t kRunRows = 32;

/// The rows of a block of `Blocks` vectors of channels from c on; Unroll rows at a time, so that Blocks *
/// Unroll independent additions are in flight.
template <class A, size_t Sums, size_t Blocks, size_t Unroll, class Lanes, class TermAt>
void add_rows_of_block(int64_t begin, int64_t end, int64_t c, int64_t C, Lanes lanes, A* sums,
                       TermAt& term_at) {
  using Terms = std::array<Vec<A>, Sums>;
  const auto terms = [&]<size_t... b>(std::index_sequence<b...>) {
    return std::array{term_at(c + static_cast<int64_t>(b) * kLanes<A>, lanes, Interval{begin, end})...};
  }
  (std::make_index_sequence<Blocks>());
  std::array<Terms, Blocks> total{};
  for (int64_t row = begin; row < end;) {
    const int64_t run_end = std::min(end, row + static_cast<int64_t>(Unroll) * kRunRows);
    std::array<std::array<Terms, Blocks>, Unroll> partial{};
    for (; row + static_cast<int64_t>(Unroll) <= run_end; row += Unroll) {
      for (size_t u = 0; u < Unroll; ++u) {
        for (size_t b = 0; b < Blocks; ++b) {
          const Terms values = terms[b](row + static_cast<int64_t>(u));
          for (size_t s = 0; s < Sums; ++s) partial[u][b][s] += values[s];
        }
      }
    }
    for (; row < run_end; ++row) {
      for (size_t b = 0; b < Blocks; ++b) {
        const Terms values = terms[b](row);
        for (size_t s = 0; s < Sums; ++s) partial[0][b][s] += values[s];
      }
    }
    for (size_t b = 0; b < Blocks; ++b) {
      for (size_t s = 0; s < Sums; ++s) {
        Vec<A> sum = partial[0][b][s];
        for (size_t u = 1; u < Unroll; ++u) sum += partial[u][b][s];
        total[b][s] += sum;
      }
    }
  }
  for (size_t b = 0; b < Blocks; ++b) {
    for (size_t s = 0; s < Sums; ++s) {
      store<A>(sums + static_cast<int64_t>(s) * C + c + static_cast<int64_t>(b) * kLanes<A>, lanes,
               total[b][s]);
    }
  }
}

/// sums[s * C + c] = the sum of term s over rows [begin, end). `term_at(c, lanes, rows)` returns a function
/// of the row whose result, std::array<Vec<A>, Sums>, holds the terms of channels [c, c + lanes); `rows` are
/// those that it will be called for.
template <class A, size_t Sums, class TermAt>
void add_rows(int64_t begin, int64_t end, int64_t C, A* sums, TermAt term_at) {
  constexpr int64_t kWidth = kLanes<A>;
  int64_t c = 0;
  for (; c + 4 * kWidth <= C; c += 4 * kWidth) {
    add_rows_of_block<A, Sums, 4, 1>(begin, end, c, C, AllLanes<A>(), sums, term_at);
  }
  for (; c + 2 * kWidth <= C; c += 2 * kWidth) {
    add_rows_of_block<A, Sums, 2, 2>(begin, end, c, C, AllLanes<A>(), sums, term_at);
  }
  for (; c < C; c += kWidth) {
    if (c + kWidth <= C) {
      add_rows_of_block<A, Sums, 1, 4>(begin, end, c, C, AllLanes<A>(), sums, term_at);
    } else {
      add_rows_of_block<A, Sums, 1, 4>(begin, end, c, C, static_cast<int>(C - c), sums, term_at);
    }
  }
}

/// Partial sums of every chunk of rows, [chunks, Sums, C]: see add_rows; `terms_of(chunk)` is its term_at.
template <class A, size_t Sums, class TermsOf>
std::vector<A> column_sums_by_chunk(const GroupedChunks& chunks, int64_t C, TermsOf terms_of) {
  const int64_t stride = static_cast<int64_t>(Sums) * C;
  std::vector<A> partials(static_cast<size_t>(chunks.count() * stride));
  parallel_for(chunks.count(), 1, [&](int64_t first, int64_t last) {
    for (int64_t chunk = first; chunk < last; ++chunk) {
      const Interval rows = chunks.units(chunk);
      add_rows<A, Sums>(rows.begin, rows.end, C, partials.data() + chunk * stride, terms_of(chunk));
    }
  });
  return partials;
}

/// The sums of each group's arrays of `size` numbers, one for each chunk, in order, in double: [groups, size]
template <class A>
std::vector<double> sums_of_groups(const GroupedChunks& chunks, const A* partials, int64_t size) {
  std::vector<double> totals(static_cast<size_t>(chunks.groups() * size), 0.0);
  for (int64_t chunk = 0; chunk < chunks.count(); ++chunk, partials += size) {
    double* const total = totals.data() + chunk / chunks.per_group() * size;
    for (int64_t i = 0; i < size; ++i) total[i] += static_cast<double>(partials[i]);
  }
  return totals;
}

/// The sums over the rows of each group, [groups, Sums, C], in double.
template <class A, size_t Sums, class TermAt>
std::vector<double> column_sums(int64_t rows, int64_t C, TermAt term_at) {
  const GroupedChunks chunks(rows, rows_per_chunk(C));
  const std::vector<A> partials = column_sums_by_chunk<A, Sums>(chunks, C, [&](int64_t) { return term_at; });
  return sums_of_groups(chunks, partials.data(), static_cast<int64_t>(Sums) * C);
}

}  // namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT
