#include "fovea/kernels/training_counters.h"

#include "fovea/kernels/cuda/convert.h"
#include "fovea/kernels/cuda/elements.h"

// One thread each, but for settle_step: a handful of numbers.
namespace fovea::kernels::cuda {
namespace {

/// The one thread looks the rate up.
template <class T>
__global__ void begin_step_kernel(const T* rates, const int64_t* position, T* rate) {
  *rate = rates[*position];
}

/// The one thread notes loss, failure and correct answers, and goes on to the next place.
template <class T>
__global__ void record_step_kernel(const T* loss, const int64_t* non_finite, const int64_t* correct,
                                   int64_t* position, T* losses, int64_t* failures, int64_t* corrects) {
  const int64_t i = *position;
  losses[i] = *loss;
  failures[i] = *non_finite;
  corrects[i] = *correct;
  *position = i + 1;
}

/// The one thread counts the step if it is taken.
__global__ void count_step_kernel(const int64_t* non_finite, int64_t* steps) {
  if (non_finite == nullptr || *non_finite == 0) ++*steps;
}

/// A thread takes packs of neighbouring elements; reads x or `before` once and writes the other once.
template <int kWidth, class T>
__global__ void __launch_bounds__(cuda::kElementThreads, cuda::kElementBlocks)
    settle_step_kernel(int64_t count, const int64_t* non_finite, T* x, T* before) {
  const bool is_undone = *non_finite != 0;
  const T* from = is_undone ? before : x;
  T* to = is_undone ? x : before;
  const auto load = [&]<int kPack>(int64_t begin) { return cuda::load_pack<kPack>(from + begin); };
  const auto put = [&]<int kPack>(int64_t begin, const cuda::Pack<T, kPack>& pack) {
    cuda::store_pack<kPack>(to + begin, pack);
  };
  cuda::for_each_pack<kWidth>(count, load, put);
}

/// The one thread changes the scale as the last step asks for.
__global__ void update_loss_scale_kernel(int64_t patience, const int64_t* non_finite_losses, float* scale,
                                         float* inverse, int64_t* good_steps, int64_t* non_finite) {
  if (*non_finite_losses != 0) return;
  if (*non_finite != 0) {
    *scale = fmaxf(*scale / 2, 1.0f);
    *good_steps = 0;
  } else if (++*good_steps == patience) {
    *scale *= 2;
    *good_steps = 0;
  }
  *inverse = 1 / *scale;
  *non_finite = 0;
}

const cuda::Grid kOneThread{dim3(1), dim3(1)};

}  // namespace

void begin_step(const Tensor& rates, const Tensor& position, Tensor& rate) {
  visit_device_floating("begin_step", rates.dtype(), [&]<class T>() {
    launch("begin_step", begin_step_kernel<T>, kOneThread, rates.data<T>(), position.data<int64_t>(),
           rate.data<T>());
  });
}

void record_step(const Tensor& loss, const Tensor& non_finite, const Tensor& correct, Tensor& position,
                 Tensor& losses, Tensor& failures, Tensor& corrects) {
  visit_device_floating("record_step", loss.dtype(), [&]<class T>() {
    launch("record_step", record_step_kernel<T>, kOneThread, loss.data<T>(), non_finite.data<int64_t>(),
           correct.data<int64_t>(), position.data<int64_t>(), losses.data<T>(), failures.data<int64_t>(),
           corrects.data<int64_t>());
  });
}

void count_step(const Tensor& non_finite, Tensor& steps) {
  launch("count_step", count_step_kernel, kOneThread,
         non_finite.defined() ? non_finite.data<int64_t>() : nullptr, steps.data<int64_t>());
}

void settle_step(const Tensor& non_finite, Tensor& x, Tensor& before) {
  visit_device_floating("settle_step", x.dtype(), [&]<class T>() {
    if (x.size() == 0) return;
    const auto run = [&]<int kWidth>() {
      launch("settle_step", settle_step_kernel<kWidth, T>, grid_for_elements(x.size(), kWidth), x.size(),
             non_finite.data<int64_t>(), x.data<T>(), before.data<T>());
    };
    visit_width<T>(/*count=*/0, run, x.data<T>(), before.data<T>());
  });
}

void update_loss_scale(int64_t patience, const Tensor& non_finite_losses, Tensor& scale, Tensor& inverse,
                       Tensor& good_steps, Tensor& non_finite) {
  launch("update_loss_scale", update_loss_scale_kernel, kOneThread, patience,
         non_finite_losses.data<int64_t>(), scale.data<float>(), inverse.data<float>(),
         good_steps.data<int64_t>(), non_finite.data<int64_t>());
}

}  // namespace fovea::kernels::cuda
