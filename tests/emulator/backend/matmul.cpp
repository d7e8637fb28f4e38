#include "fovea/kernels/matmul.h"

#include "host_twin.h"

// Stand-in for cuBLAS.
namespace fovea::kernels {

void cuda::matmul_forward(const Tensor& a, bool transpose_a, const Tensor& b, bool transpose_b,
                          const Tensor& bias, Tensor& y) {
  emulator::on_host_twins("matmul_forward", {&a, &b, &bias}, {&y}, [=](const auto& in, auto& out) {
    cpu::FOVEA_CPU_VARIANT::matmul_forward(in[0], transpose_a, in[1], transpose_b, in[2], out[0]);
  });
}

}  // namespace fovea::kernels
