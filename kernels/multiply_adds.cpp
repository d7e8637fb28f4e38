#include "fovea/kernels/conv.h"
#include "fovea/kernels/matmul.h"
#include "fovea/kernels/orthogonalise.h"
#include "fovea/kernels/preactivation_problem.h"

// How often each kernel that multiplies must multiply and add. The gradients of a convolution with respect to
// x and to its weight cost what its result costs.
namespace fovea::kernels {

int64_t conv_forward_multiply_adds(const Tensor& x, const Tensor& weight, const Tensor&, int64_t stride,
                                   int64_t padding, Tensor&) {
  return ConvProblem::of(x.shape(), weight.shape(), stride, padding).multiply_adds();
}

int64_t conv_backward_input_multiply_adds(const Tensor&, const Tensor& weight, int64_t stride,
                                          int64_t padding, Tensor& dx) {
  return ConvProblem::of(dx.shape(), weight.shape(), stride, padding).multiply_adds();
}

int64_t conv_backward_weight_multiply_adds(const Tensor& x, const Tensor&, int64_t stride, int64_t padding,
                                           Tensor& dweight) {
  return ConvProblem::of(x.shape(), dweight.shape(), stride, padding).multiply_adds();
}

int64_t matmul_forward_multiply_adds(const Tensor& a, bool transpose_a, const Tensor&, bool, const Tensor&,
                                     Tensor& y) {
  return y.size() * a.shape(transpose_a ? 0 : 1);
}

int64_t orthogonalise_multiply_adds(std::span<const MatrixPlace> matrices, const NewtonSchulz& iteration,
                                    Tensor&) {
  int64_t sum = 0;  // of a round: X X^T, its square, and what that is times X
  for (const MatrixPlace& place : matrices) {
    sum += place.rank() * (2 * place.size() + place.rank() * place.rank());
  }
  return sum * iteration.rounds;
}

int64_t preactivation_conv_forward_multiply_adds(const Tensor& x, const PreactivationStage& stage,
                                                 const Tensor&, Tensor&, Tensor&, Tensor&, Tensor&) {
  return problem_of(x.shape(), stage).multiply_adds();
}

int64_t preactivation_conv_backward_multiply_adds(const Tensor&, const NextNorm&,
                                                  const SavedPreactivation& saved, Tensor&,
                                                  PreactivationGradients&) {
  return 2 * problem_of(saved.x.shape(), saved.stage).multiply_adds();
}

int64_t preactivation_conv_backward_input_multiply_adds(const Tensor&, const NextNorm&,
                                                        const SavedPreactivation& saved, const Tensor&,
                                                        const Tensor&, Tensor&, PreactivationGradients&) {
  return 2 * problem_of(saved.x.shape(), saved.stage).multiply_adds();
}

int64_t preactivation_chain_forward_multiply_adds(const Tensor& x, const PreactivationStages& chain,
                                                  const Tensor&, Tensor&) {
  int64_t sum = 0;
  for (const ConvProblem& problem : problems_of(x.shape(), chain)) sum += problem.multiply_adds();
  return sum;
}

}  // namespace fovea::kernels
