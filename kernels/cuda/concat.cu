#include "fovea/kernels/concat.h"

#include <cstddef>

#include "fovea/kernels/cuda/launch.h"

namespace fovea::kernels {
namespace {

/// 16 bytes that are copied at once.
struct alignas(16) Bytes16 {
  uint64_t values[2];
};

/// to[o, i] = from[o, i] for rows of I units, which begin every from_stride and to_stride units. The grid's x
/// goes over the rows, its y along them; a thread copies every so many units of every so many rows. Both are
/// read and written once.
template <class Unit>
__global__ void copy_rows_kernel(int64_t O, int64_t I, const Unit* from, int64_t from_stride, Unit* to,
                                 int64_t to_stride) {
  const int64_t row = int64_t{blockIdx.x} * blockDim.y + threadIdx.y, rows = int64_t{gridDim.x} * blockDim.y;
  const int64_t unit = int64_t{blockIdx.y} * blockDim.x + threadIdx.x,
                units = int64_t{gridDim.y} * blockDim.x;
  for (int64_t o = row; o < O; o += rows) {
    for (int64_t i = unit; i < I; i += units) to[o * to_stride + i] = from[o * from_stride + i];
  }
}

/// The same for rows of I bytes, in the largest units that divide all places.
void copy_rows(int64_t O, int64_t I, const std::byte* from, int64_t from_stride, std::byte* to,
               int64_t to_stride) {
  if (O == 0 || I == 0) return;
  const auto run = [&]<class Unit>() {
    constexpr auto kSize = static_cast<int64_t>(sizeof(Unit));
    constexpr int kThreads = 256;
    const int64_t units = I / kSize;
    int across = 1;
    while (across < kThreads && across < units) across *= 2;
    cuda::Grid grid = cuda::grid_for(O * across, kThreads);
    const auto most_along = cuda::grid_for(O * units, kThreads).blocks.x / grid.blocks.x;
    grid.blocks.y = std::max(most_along, 1u);
    grid.threads = dim3(static_cast<unsigned>(across), static_cast<unsigned>(kThreads / across));
    cuda::launch("concat", copy_rows_kernel<Unit>, grid, O, units, reinterpret_cast<const Unit*>(from),
                 from_stride / kSize, reinterpret_cast<Unit*>(to), to_stride / kSize);
  };
  const auto places = reinterpret_cast<uintptr_t>(from) | reinterpret_cast<uintptr_t>(to) |
                      static_cast<uintptr_t>(I | from_stride | to_stride);
  if (places % 16 == 0) {
    run.template operator()<Bytes16>();
  } else if (places % 4 == 0) {
    run.template operator()<uint32_t>();
  } else if (places % 2 == 0) {
    run.template operator()<uint16_t>();
  } else {
    run.template operator()<uint8_t>();
  }
}

/// Bytes of a row of a tensor [O, I].
int64_t row_bytes(const Tensor& x) {
  return x.shape(1) * static_cast<int64_t>(size_of(x.dtype()));
}

}  // namespace

void cuda::concat_forward(const Tensor& x, int64_t offset, Tensor& y) {
  copy_rows(x.shape(0), row_bytes(x), static_cast<const std::byte*>(x.raw()), row_bytes(x),
            static_cast<std::byte*>(y.raw()) + offset * static_cast<int64_t>(size_of(y.dtype())),
            row_bytes(y));
}

void cuda::concat_backward(const Tensor& dy, int64_t offset, Tensor& dx) {
  copy_rows(dx.shape(0), row_bytes(dx),
            static_cast<const std::byte*>(dy.raw()) + offset * static_cast<int64_t>(size_of(dy.dtype())),
            row_bytes(dy), static_cast<std::byte*>(dx.raw()), row_bytes(dx));
}

}  // namespace fovea::kernels
