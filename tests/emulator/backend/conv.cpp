#include "fovea/kernels/conv.h"

#include "host_twin.h"

// Stand-ins for cuDNN: the CPU's kernels, at the place in the stream where cuDNN's would run.
namespace fovea::kernels {

void cuda::conv_forward(const Tensor& x, const Tensor& weight, const Tensor& bias, int64_t stride,
                        int64_t padding, Tensor& y) {
  emulator::on_host_twins("conv_forward", {&x, &weight, &bias}, {&y}, [=](const auto& in, auto& out) {
    cpu::FOVEA_CPU_VARIANT::conv_forward(in[0], in[1], in[2], stride, padding, out[0]);
  });
}

void cuda::conv_backward_input(const Tensor& dy, const Tensor& weight, int64_t stride, int64_t padding,
                               Tensor& dx) {
  emulator::on_host_twins("conv_backward_input", {&dy, &weight}, {&dx}, [=](const auto& in, auto& out) {
    cpu::FOVEA_CPU_VARIANT::conv_backward_input(in[0], in[1], stride, padding, out[0]);
  });
}

void cuda::conv_backward_weight(const Tensor& x, const Tensor& dy, int64_t stride, int64_t padding,
                                Tensor& dweight) {
  emulator::on_host_twins("conv_backward_weight", {&x, &dy}, {&dweight}, [=](const auto& in, auto& out) {
    cpu::FOVEA_CPU_VARIANT::conv_backward_weight(in[0], in[1], stride, padding, out[0]);
  });
}

void cuda::conv_backward_bias(const Tensor& dy, Tensor& dbias) {
  emulator::on_host_twins("conv_backward_bias", {&dy}, {&dbias}, [](const auto& in, auto& out) {
    cpu::FOVEA_CPU_VARIANT::conv_backward_bias(in[0], out[0]);
  });
}

}  // namespace fovea::kernels
