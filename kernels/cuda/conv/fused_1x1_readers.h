#pragma once

#include <algorithm>

#include "fovea/kernels/cuda/batch_norm_channels.h"
#include "fovea/kernels/cuda/conv/block_product.h"

/// What the products of pre-activation convolutions of 1x1 read, and how their blocks share the work.
namespace fovea::kernels::cuda {

/// How many tiles, or steps, cover an extent.
__host__ __device__ constexpr int tiles_of(int extent, int of_tile) {
  return (extent + of_tile - 1) / of_tile;
}

/// What a block takes of shared memory beside its tiles: arrays of fixed size, and what CUDA keeps for
/// itself.
inline constexpr size_t kBesideBytes = 3 * 1024;

/// Whether a block of the current device may have so many bytes of dynamic shared memory.
inline bool has_shared_memory(size_t bytes) {
  return bytes + kBesideBytes <= static_cast<size_t>(fovea::cuda::most_shared_memory());
}

/// How rows are shared by blocks, `beside` of which read the same ones: so that about `blocks` of them are
/// there for each multiprocessor of an H100, whatever the device, for the same bits.
struct RowSplits {
  int rows;  // of a split: a multiple of `unit`
  int64_t count;

  /// A split has `most` rows at most, and, but for that, not fewer than `least`.
  RowSplits(int64_t all_rows, int64_t unit, int64_t beside, int64_t blocks, int64_t least, int64_t most) {
    constexpr int64_t kMultiprocessors = 132;
    const auto splits_of = [all_rows](int64_t of_rows) { return (all_rows + of_rows - 1) / of_rows; };
    const int64_t splits = std::clamp(kMultiprocessors * blocks / beside, splits_of(most), splits_of(least));
    rows = static_cast<int>((all_rows + splits * unit - 1) / (splits * unit) * unit);
    count = splits_of(rows);
  }
};

/// The extents of a 1x1 convolution as a product: pixels [rows, C] -> [rows, K].
struct Extents {
  int rows, C, K;

  Extents(const Tensor& x, const Tensor& weight)
      : rows(static_cast<int>(x.size() / x.shape(3))),
        C(static_cast<int>(x.shape(3))),
        K(static_cast<int>(weight.shape(0))) {}
};

/// Calls body.template operator()<T>() for the two dtypes.
template <class Body>
void visit_16_bits(Dtype dtype, Body&& body) {
  if (dtype == Dtype::bf16) {
    body.template operator()<bf16>();
  } else {
    body.template operator()<f16>();
  }
}

/// a = relu(norm(x)), rounded as where it is stored.
template <class T>
struct ActivatedReader {
  const T* x;
  Channels channels;
  SharedAffine shared{};  // once a block has filled it

  static constexpr int kPart = 4;
  __device__ Pack<T, 8> read(int64_t offset) const { return load_pack<8>(x + offset); }
  __device__ Affine<kPart> constants(int c) const { return shared.at<kPart>(c); }
  __device__ Pack<T, kPart> result(const Affine<kPart>& affine, const Pack<T, 8>& pack, int part) const {
    return to_pack<T>(channels.result(affine, part_to_floats<kPart>(pack, part)));
  }
};

}  // namespace fovea::kernels::cuda
