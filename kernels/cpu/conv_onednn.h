#pragma once

#include "fovea/core/tensor.h"
#include "fovea/kernels/conv.h"

/// f32 convolutions by oneDNN or Winograd's form (see conv_plan.h), for conv.cpp. Arguments as in
/// kernels/conv.h; without bias.
namespace fovea::kernels::cpu::onednn {

void conv_forward(const Tensor& x, const Tensor& weight, int64_t stride, int64_t padding, Tensor& y);
void conv_backward_input(const Tensor& dy, const Tensor& weight, int64_t stride, int64_t padding, Tensor& dx);
void conv_backward_weight(const Tensor& x, const Tensor& dy, int64_t stride, int64_t padding,
                          Tensor& dweight);

/// False from when the end of the program has begun to destroy what oneDNN keeps: objects with static storage
/// that convolve in their destructors do it without oneDNN.
bool is_alive();

/// Of plans that are kept, so that a convolution of the same shape is planned once: at most so many, the
/// least recently used goes. A step of a network of the zoo needs 14 to 90 at one batch size.
inline constexpr int64_t kMostPlans = 1024;
ConvPlanCounts plan_counts();

}  // namespace fovea::kernels::cpu::onednn
