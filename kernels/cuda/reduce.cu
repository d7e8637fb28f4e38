#include "fovea/kernels/reduce.h"

#include "fovea/kernels/cuda/column_sums.h"

namespace fovea::kernels::cuda {
namespace {

/// dx[o, r, i] = factor * dy[o, i]
template <class T, int kWidth>
struct SpreadMap {
  static constexpr int kAtOnce = 4;
  const T* dy;
  T* dx;
  float factor;
  bool along_pack;  // the numbers of a pack are of one sum

  __device__ Floats<kWidth> constants(const ColumnPart& part, const Columns& columns) const {
    Floats<kWidth> result;
    if (along_pack) {
      const float number = to_float(dy[part.o]);
#pragma unroll
      for (int i = 0; i < kWidth; ++i) result[i] = number;
    } else {
      result = load_wide<kWidth>(dy + part.offset(0, 1, columns.I));
    }
#pragma unroll
    for (int i = 0; i < kWidth; ++i) result[i] *= factor;
    return result;
  }
  __device__ Nothing read(int64_t) const {
    return {};
  }
  __device__ void write(const Floats<kWidth>& constants, Nothing, int64_t offset) const {
    store<kWidth>(dx + offset, constants);
  }
};

}  // namespace

void reduce_forward(const Tensor& x, double factor, Tensor& y) {
  if (y.size() == 0) return;
  visit_device_floating("reduce", x.dtype(), [&]<class T>() {
    sum_columns("reduce", x.data<T>(), x.shape(0), x.shape(1), x.shape(2), static_cast<float>(factor),
                y.data<T>());
  });
}

void reduce_backward(const Tensor& dy, double factor, Tensor& dx) {
  if (dx.size() == 0) return;
  const int64_t O = dx.shape(0), R = dx.shape(1), I = dx.shape(2);
  visit_device_floating("reduce", dy.dtype(), [&]<class T>() {
    const auto spread = [&]<int kWidth>(int64_t rows, int64_t width) {
      const Columns columns("reduce", O, rows, width, kWidth);
      launch("reduce", map_columns_kernel<kWidth, SpreadMap<T, kWidth>>, columns.grid(), columns,
             SpreadMap<T, kWidth>{dy.data<T>(), dx.data<T>(), static_cast<float>(factor), width != I});
    };
    visit_columns<T>(R, I, spread, dx.data<T>(), dy.data<T>());
  });
}

}  // namespace fovea::kernels::cuda
