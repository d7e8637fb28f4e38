#include "fovea/kernels/cast.h"

#include "fovea/kernels/cuda/elements.h"

namespace fovea::kernels::cuda {
namespace {

template <class T>
inline constexpr bool is_half = std::is_same_v<T, bf16> || std::is_same_v<T, f16>;

template <class To, class From>
__device__ inline To convert(From x) {
  if constexpr (is_half<From>) {
    return convert<To>(cuda::to_float(x));
  } else if constexpr (is_half<To>) {
    return cuda::from_float<To>(static_cast<float>(x));
  } else {
    return static_cast<To>(x);
  }
}

/// A thread takes packs of neighbouring elements, 16 bytes of the wider type; reads x once and writes y once.
template <int kWidth, class From, class To>
__global__ void __launch_bounds__(cuda::kElementThreads, cuda::kElementBlocks)
    cast_forward_kernel(int64_t count, const From* x, To* y) {
  const auto compute = [&]<int kPack>(int64_t begin) {
    const auto from = cuda::load_pack<kPack>(x + begin);
    return cuda::make_pack<To, kPack>([&](int i) { return convert<To>(from[i]); });
  };
  const auto put = [&]<int kPack>(int64_t begin, const cuda::Pack<To, kPack>& to) {
    cuda::store_pack<kPack>(y + begin, to);
  };
  cuda::for_each_pack<kWidth>(count, compute, put);
}

/// Like visit_dtype, without f64.
template <class Body>
void visit_device_dtype(const Tensor& x, Body&& body) {
  check(x.dtype() != Dtype::f64, "cast: ", x, " on ", x.device(), ": f64 is for the CPU only");
  visit_dtype(x.dtype(), [&]<class T>() {
    if constexpr (!std::is_same_v<T, double>) body.template operator()<T>();
  });
}

}  // namespace

void cast_forward(const Tensor& x, Tensor& y) {
  visit_device_dtype(x, [&]<class From>() {
    visit_device_dtype(y, [&]<class To>() {
      if (x.size() == 0) return;
      const auto run = [&]<int kWidth>() {
        launch("cast", cast_forward_kernel<kWidth, From, To>, grid_for_elements(x.size(), kWidth), x.size(),
               x.data<From>(), y.data<To>());
      };
      visit_width<Widest<From, To>>(/*count=*/0, run, x.data<From>(), y.data<To>());
    });
  });
}

}  // namespace fovea::kernels::cuda
