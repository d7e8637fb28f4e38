// What onednn.h declares, for a build without oneDNN.
#include "fovea/core/check.h"
#include "fovea/kernels/conv.h"
#include "fovea/kernels/cpu/conv/onednn.h"

namespace fovea::kernels::cpu::onednn {
namespace {

[[noreturn]] void refuse() {
  throw Error("conv: this build has no oneDNN, which was chosen all the same");
}

}  // namespace

bool is_available() {
  return false;
}

std::unique_ptr<ChunkedConv> conv(ConvPass, const Chunks&, const Tensor&) {
  refuse();
}

std::unique_ptr<ChunkedFilterGradient> filter_gradient(const Chunks&) {
  refuse();
}

void call(const char*, const ConvProblem&, const std::function<void()>& body) {
  body();
}

}  // namespace fovea::kernels::cpu::onednn

fovea::kernels::ConvPlanCounts fovea::kernels::conv_plan_counts() {
  return {};
}
