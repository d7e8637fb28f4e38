#include "fovea/kernels/concat.h"

#include "fovea/kernels/cuda/launch.h"
#include "fovea/kernels/cuda/pack.h"

namespace fovea::kernels::cuda {
namespace {

/// to[o, i] = from[o, i] for rows of I bytes, which begin every from_stride and to_stride bytes, in units of
/// kBytes. The grid's x goes over the rows, its y along them; a thread copies every so many units of every so
/// many rows. One pass: each unit is read and written once.
template <int kBytes>
__global__ void copy_rows_kernel(int64_t O, int64_t I, const uint8_t* from, int64_t from_stride, uint8_t* to,
                                 int64_t to_stride) {
  const int64_t row = int64_t{blockIdx.x} * blockDim.y + threadIdx.y, rows = int64_t{gridDim.x} * blockDim.y;
  const int64_t unit = int64_t{blockIdx.y} * blockDim.x + threadIdx.x,
                units = int64_t{gridDim.y} * blockDim.x;
  for (int64_t o = row; o < O; o += rows) {
    for (int64_t i = unit * kBytes; i < I; i += units * kBytes) {
      cuda::store_pack<kBytes>(to + o * to_stride + i, cuda::load_pack<kBytes>(from + o * from_stride + i));
    }
  }
}

/// Concatenates rows of I bytes, in the largest units that divide all places.
void copy_rows(int64_t O, int64_t I, const uint8_t* from, int64_t from_stride, uint8_t* to,
               int64_t to_stride) {
  if (O == 0 || I == 0) return;
  const auto run = [&]<int kBytes>() {
    constexpr int kThreads = 256;
    const int64_t units = I / kBytes;
    int across = 1;
    while (across < kThreads && across < units) across *= 2;
    cuda::Grid grid = cuda::grid_for(O * across, kThreads);
    const auto most_along = cuda::grid_for(O * units, kThreads).blocks.x / grid.blocks.x;
    grid.blocks.y = std::max(most_along, 1u);
    grid.threads = dim3(static_cast<unsigned>(across), static_cast<unsigned>(kThreads / across));
    cuda::launch("concat", copy_rows_kernel<kBytes>, grid, O, I, from, from_stride, to, to_stride);
  };
  const auto places = reinterpret_cast<uintptr_t>(from) | reinterpret_cast<uintptr_t>(to) |
                      static_cast<uintptr_t>(I | from_stride | to_stride);
  if (places % 16 == 0) {
    run.template operator()<16>();
  } else if (places % 4 == 0) {
    run.template operator()<4>();
  } else if (places % 2 == 0) {
    run.template operator()<2>();
  } else {
    run.template operator()<1>();
  }
}

/// Bytes of a row of a tensor [O, I].
int64_t row_bytes(const Tensor& x) {
  return x.shape(1) * static_cast<int64_t>(size_of(x.dtype()));
}

}  // namespace

void concat_forward(const Tensor& x, int64_t offset, Tensor& y) {
  copy_rows(x.shape(0), row_bytes(x), static_cast<const uint8_t*>(x.raw()), row_bytes(x),
            static_cast<uint8_t*>(y.raw()) + offset * static_cast<int64_t>(size_of(y.dtype())), row_bytes(y));
}

void concat_backward(const Tensor& dy, int64_t offset, Tensor& dx) {
  copy_rows(dx.shape(0), row_bytes(dx),
            static_cast<const uint8_t*>(dy.raw()) + offset * static_cast<int64_t>(size_of(dy.dtype())),
            row_bytes(dy), static_cast<uint8_t*>(dx.raw()), row_bytes(dx));
}

}  // namespace fovea::kernels::cuda
