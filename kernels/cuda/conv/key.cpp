#include "fovea/kernels/cuda/conv/key.h"

#include "fovea/core/check.h"

namespace fovea::kernels::cuda {

const char* operation_of(ConvPass pass) {
  switch (pass) {
    case ConvPass::forward: return "conv_forward";
    case ConvPass::backward_input: return "conv_backward_input";
    case ConvPass::backward_weight: break;
  }
  return "conv_backward_weight";
}

int64_t ConvKey::terms() const {
  switch (pass) {
    case ConvPass::forward: return R * S * C;
    case ConvPass::backward_input: return R * S * K;
    case ConvPass::backward_weight: break;
  }
  return N * P() * Q();
}

ConvKey ConvKey::padded() const {
  const int64_t multiple = 16 / static_cast<int64_t>(size_of(dtype));
  ConvKey result = *this;
  result.C = (C + multiple - 1) / multiple * multiple;
  result.K = (K + multiple - 1) / multiple * multiple;
  return result;
}

std::string ConvKey::str() const {
  return fovea::str(operation_of(pass), " ", dtype, tf32 ? " tf32" : "", " N", N, " H", H, " W", W, " C", C,
                    " K", K, " R", R, " S", S, " stride", stride, " padding", padding);
}

size_t ConvKey::hash() const {
  // FNV-1a over whole numbers.
  uint64_t h = 14695981039346656037u;
  for (const int64_t part : {static_cast<int64_t>(pass), static_cast<int64_t>(dtype), int64_t{tf32}, N, H, W,
                             C, K, R, S, stride, padding}) {
    h = (h ^ static_cast<uint64_t>(part)) * 1099511628211u;
  }
  return h;
}

Tensor& ConvTensors::result(ConvPass pass) {
  switch (pass) {
    case ConvPass::forward: return y;
    case ConvPass::backward_input: return x;
    case ConvPass::backward_weight: break;
  }
  return weight;
}

}  // namespace fovea::kernels::cuda
