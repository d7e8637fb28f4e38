#pragma once

#include "fovea/kernels/cpu/affine.h"
#include "fovea/kernels/cpu/conv/choice.h"
#include "fovea/kernels/cpu/conv/panels.h"
#include "fovea/kernels/cpu/conv/storage.h"
#include "fovea/kernels/cpu/in_f32.h"
#include "fovea/kernels/cpu/rows.h"
#include "fovea/kernels/cpu/transpose.h"

/// Packing of matrices [rows, columns] into the panels of panels.h. `rows` are a multiple of kRowMultiple.
namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT {

/// Panels of floats: [columns / kLanes][rows][kLanes].
struct FloatPanels {
  float* to;
  int64_t rows;

  /// The vector of columns from `column` on of a row.
  void put(int64_t row, int64_t column, Vec<float> value) {
    store(to + column * rows + row * kLanes<float>, AllLanes<float>(), value);
  }
};

/// Panels of pairs of neighbours in a row, rounded to bf16: [columns / (2 * kLanes)][rows][kLanes] words.
struct ColumnPairPanels {
  float* to;
  int64_t rows;

  void put(int64_t row, int64_t column, Vec<float> value) {
    constexpr int64_t kColumns = 2 * kLanes<float>;
    bf16* const panel = reinterpret_cast<bf16*>(to) + column / kColumns * kColumns * rows;
    store(panel + row * kColumns + column % kColumns, AllLanes<float>(), value);
  }
};

/// Panels of pairs of neighbours in a column, rounded to bf16: [columns / kLanes][rows / 2][kLanes] words.
/// The two rows of a pair are put after each other.
struct RowPairPanels {
  float* to;
  int64_t rows;
  Halves first{};

  void put(int64_t row, int64_t column, Vec<float> value) {
    const Halves halves = round_to_bf16(value);
    if (row % 2 == 0) {
      first = halves;
      return;
    }
    const auto words =
        std::bit_cast<Vec<uint32_t>>(widen(halves)) | std::bit_cast<Vec<uint32_t>>(widen(first)) >> 16;
    store(to + column * (rows / 2) + row / 2 * kLanes<float>, AllLanes<float>(),
          std::bit_cast<Vec<float>>(words));
  }
};

/// Packs a matrix that lies row by row.
template <class T, class... Panels>
void pack(int64_t rows, int64_t columns, const T* from, Panels... panels) {
  for (int64_t first = 0; first < rows; first += 2) {
    for (int64_t c = 0; c < columns; c += kLanes<float>) {
      for (int64_t row = first; row < first + 2; ++row) {
        const Vec<float> value = load(from + row * columns + c, AllLanes<float>());
        (panels.put(row, c, value), ...);
      }
    }
  }
}

/// Packs relu(norm(x)).
template <class T, class... Panels>
void pack_activated(const Affine<float>& affine, int64_t rows, const T* x, Panels... panels) {
  const auto C = static_cast<int64_t>(affine.mean.size());
  for (int64_t first = 0; first < rows; first += kRowMultiple, x += kRowMultiple * C) {
    affine.activate_rows(x, kRowMultiple, [=](int64_t row, int64_t c, Vec<float> value) mutable {
      (panels.put(first + row, c, value), ...);
    });
  }
}

/// Packs the gradient of y, made from that of relu(norm(y)).
template <class T, class... Panels>
void pack_passed_back(const BackwardAffine<float>& affine, int64_t rows, const T* dy, const T* y,
                      Panels... panels) {
  const auto K = static_cast<int64_t>(affine.mean.size());
  for (int64_t first = 0; first < rows;
       first += kRowMultiple, dy += kRowMultiple * K, y += kRowMultiple * K) {
    affine.for_rows(kRowMultiple, /*has_relu=*/true,
                    [=](int64_t row, int64_t k, auto lanes, const auto& gradient) mutable {
                      const int64_t i = row * K + k;
                      const Vec<float> value = gradient(load(dy + i, lanes), load(y + i, lanes));
                      (panels.put(first + row, k, value), ...);
                    });
  }
}

/// w^T in panels: `from` [rows, columns] of words, columns a multiple of kLanes, to panels of [columns,
/// rows]. Uses all threads.
inline void pack_transposed(int64_t rows, int64_t columns, const float* from, float* to) {
  constexpr int64_t kWidth = kLanes<float>;
  parallel_for_rows(rows / kWidth, kWidth * columns, [=](int64_t panel) {
    const int64_t row = panel * kWidth;
    for (int64_t c = 0; c < columns; c += kWidth) {
      store_rows(transpose(load_rows(from + row * columns + c, columns)), to + row * columns + c * kWidth,
                 kWidth);
    }
  });
}

/// Filters [K, 1, 1, C], for the product of a convolution's result, of so many pixels: w^T, [C, K], or its
/// pairs along C. Uses all threads.
template <class Arithmetic>
Tensor packed_for_result(const Tensor& weight, int64_t pixels) {
  static constexpr char kKind = 0;
  return filters_in_form(weight, pixels, &kKind, [&] {
    const int64_t K = weight.shape(0), C = weight.shape(3), columns = is_dot<Arithmetic> ? C / 2 : C;
    const Tensor words = is_dot<Arithmetic> ? weight : as_f32(weight);
    Tensor result = Tensor::empty({K * columns});
    pack_transposed(K, columns, static_cast<const float*>(words.raw()), result.data<float>());
    return result;
  });
}

/// Filters for the product of the gradient of x: w, [K, C], or its pairs along K.
template <class Arithmetic>
Tensor packed_for_input(const Tensor& weight) {
  const int64_t K = weight.shape(0), C = weight.shape(3);
  Tensor result = Tensor::empty({is_dot<Arithmetic> ? K / 2 * C : K * C});
  float* const to = result.data<float>();
  visit_storage("preactivation_conv_backward", weight.dtype(), [&]<class T>() {
    if constexpr (is_dot<Arithmetic>) {
      pack(K, C, weight.data<T>(), RowPairPanels{to, K});
    } else {
      pack(K, C, weight.data<T>(), FloatPanels{to, K});
    }
  });
  return result;
}

/// From panels of floats to a matrix row by row. Uses all threads.
inline void unpack(int64_t rows, int64_t columns, const float* from, float* to) {
  parallel_for_rows(rows, columns, [=](int64_t row) {
    for (int64_t c = 0; c < columns; c += kLanes<float>) {
      store(to + row * columns + c, AllLanes<float>(),
            load(from + c * rows + row * kLanes<float>, AllLanes<float>()));
    }
  });
}

}  // namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT
