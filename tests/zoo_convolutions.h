#pragma once

#include <catch2/catch.hpp>
#include <memory>
#include <set>
#include <string>

#include "fovea/core/autograd.h"
#include "fovea/kernels/conv_problem.h"
#include "fovea/models/zoo.h"

namespace fovea {

/// A convolution of a network. One that a batch norm and a relu stand before is fused with them.
struct ZooConvolution {
  kernels::ConvProblem problem;
  bool is_preactivation;
  friend auto operator<=>(const ZooConvolution&, const ZooConvolution&) = default;
};

/// The convolution that gave `y`, for a batch of N. Stride and padding follow from the extents, as long as a
/// window covers its pixel on both sides.
inline kernels::ConvProblem problem_that_gave(const Shape& x, const Shape& weight, const Shape& y,
                                              int64_t N) {
  auto problem = kernels::ConvProblem::of(x, weight, /*stride=*/1, /*padding=*/(weight[1] - 1) / 2);
  while (problem.P() > y[1]) ++problem.stride;
  REQUIRE(problem.y() == y);
  problem.N = N;
  return problem;
}

/// Those of a model of the zoo, each once, for a batch of N.
inline std::set<ZooConvolution> convolutions_of(const std::string& model_name, int64_t N) {
  std::set<ZooConvolution> result;
  const std::unique_ptr<Model> model = make_model(model_name, {}, /*seed=*/1);
  const int64_t size = model_input_size(model_name);
  const OperationObserver observer(
      [&](std::string_view operation, const Tensor& y, std::span<const Variable> inputs) {
        const bool is_fused = operation == "preactivation_conv";
        if (operation != "conv" && !is_fused) return;
        const Shape& weight = inputs[is_fused ? 3 : 1].shape();
        result.insert({problem_that_gave(inputs[0].shape(), weight, y.shape(), N), is_fused});
      });
  const NoGrad no_grad;
  const EvaluationMode evaluation(*model);
  model->forward(Tensor::zeros({1, size, size, 3}));
  return result;
}

}  // namespace fovea
