// Who convolves what on the CPU: kernels/cpu/conv/choices.md is what this program prints.
#include "fovea/kernels/cpu/conv/choice.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <iostream>
#include <sstream>

#include "fovea/kernels/cpu/conv/onednn.h"
#include "fovea/kernels/cpu/vec.h"
#include "test_files.h"
#include "zoo_convolutions.h"

using namespace fovea;
using namespace fovea::kernels;
using namespace fovea::kernels::cpu;
using namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT;

namespace {

constexpr int64_t kBatch = 64;

/// "onednn": by which engine the chunks of a form go.
std::string engine_of(const ConvProblem& problem, PreactivationForm form, bool is_forward) {
  if (form != PreactivationForm::chunks) return "";
  return fovea::str(" ", name_of(*chunk_engine(preactivation_chunks(problem, is_forward))));
}

std::string row_of(const ZooConvolution& use) {
  const ConvProblem& p = use.problem;
  std::ostringstream row;
  row << "| " << p.H << "x" << p.W << " | " << p.C << " -> " << p.K << " | " << p.R << "x" << p.S << " | "
      << p.stride << " | ";
  if (use.is_preactivation) {
    const PreactivationForm form = choose_preactivation(p, Dtype::f32);
    const bool is_composed = form == PreactivationForm::composed;
    const auto alone = [&](ConvPass pass) {
      return is_composed ? fovea::str(" ", name_of(choose(pass, p, Dtype::f32))) : std::string();
    };
    row << name_of(form) << engine_of(p, form, true) << alone(ConvPass::forward) << " | " << name_of(form)
        << engine_of(p, form, false) << alone(ConvPass::backward_input) << " | " << name_of(form)
        << engine_of(p, form, false) << alone(ConvPass::backward_weight) << " |\n";
  } else {
    row << name_of(choose(ConvPass::forward, p, Dtype::f32)) << " | "
        << name_of(choose(ConvPass::backward_input, p, Dtype::f32)) << " | "
        << name_of(choose(ConvPass::backward_weight, p, Dtype::f32)) << " |\n";
  }
  return row.str();
}

std::string table_of(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) {
    text +=
        "\n## " + name +
        "\n\n| pixels | channels | window | stride | forward | gradient of x | gradient of the filters |\n"
        "| --- | --- | --- | ---: | --- | --- | --- |\n";
    for (const ZooConvolution& use : convolutions_of(name, kBatch)) text += row_of(use);
  }
  return text;
}

const std::vector<std::string> kNames{"attention56", "attention92-wide", "preact-resnet164",
                                      "attention-nano"};

}  // namespace

TEST_CASE("conv_choice: the table of the zoo, to be kept", "[.print]") {
  std::cout << table_of(kNames);
}

TEST_CASE("conv_choice: the table of the zoo is the one that is kept") {
  const std::string found = table_of(kNames);
  INFO(found);
  const std::string kept = file_bytes(FOVEA_CHOICES);
  const size_t begin = kept.find("\n## ");
  REQUIRE(begin != std::string::npos);
  if (kLanes<float> != 16 || !onednn::is_available()) {
    // The table is that of 16 floats in a register, with oneDNN.
    CHECK(std::count(found.begin(), found.end(), '\n') ==
          std::count(kept.begin() + static_cast<int64_t>(begin), kept.end(), '\n'));
    return;
  }
  CHECK(kept.substr(begin) == found);
}

TEST_CASE("conv_choice: in every network of the zoo every convolution is computed by an engine that can") {
  for (const std::string& name : model_names()) {
    for (const ZooConvolution& use : convolutions_of(name, kBatch)) {
      const ConvProblem& problem = use.problem;
      INFO(name << ": " << problem);
      for (const ConvPass pass : {ConvPass::forward, ConvPass::backward_input, ConvPass::backward_weight}) {
        for (const Dtype dtype : {Dtype::f64, Dtype::f16}) {
          CHECK(choose(pass, problem, dtype) == ConvEngine::unfolded);
        }
        const ConvEngine engine = choose(pass, problem, Dtype::f32);
        CHECK(choose(pass, problem, Dtype::bf16) == engine);  // which computes in f32
        // What has channels enough to fill registers is never unfolded where there is oneDNN.
        if (onednn::is_available()) CHECK(engine != ConvEngine::unfolded);
        if (engine == ConvEngine::narrow) CHECK(problem.is_pointwise());
      }
    }
  }
}

TEST_CASE("conv_choice: 3x3 of whole registers is Winograd's, with and without oneDNN") {
  const ConvProblem problem = ConvProblem::of({32, 16, 16, 64}, {64, 3, 3, 64}, 1, 1);
  const ConvProblem strided = ConvProblem::of({32, 16, 16, 64}, {64, 3, 3, 64}, 2, 1);
  const bool has_onednn = onednn::is_available();
  const ConvEngine otherwise = has_onednn ? ConvEngine::onednn : ConvEngine::unfolded;
  const PreactivationForm form = has_onednn ? PreactivationForm::chunks : PreactivationForm::composed;
  // Winograd's form wants registers of 8 floats; those of SSE2 have 4.
  const bool is_wide = kLanes<float> >= 8;
  for (const ConvPass pass : {ConvPass::forward, ConvPass::backward_input, ConvPass::backward_weight}) {
    CHECK(choose(pass, problem, Dtype::f32) == (is_wide ? ConvEngine::winograd : otherwise));
  }
  CHECK(choose_preactivation(problem, Dtype::f32) == (is_wide ? PreactivationForm::chunks : form));
  CHECK(choose(ConvPass::forward, strided, Dtype::f32) == otherwise);
  CHECK(choose_preactivation(strided, Dtype::f32) == form);
}

TEST_CASE("conv_choice: nothing is convolved where nothing is there, and one image is not chained") {
  CHECK(choose(ConvPass::forward, ConvProblem::of({0, 8, 8, 16}, {16, 3, 3, 16}, 1, 1), Dtype::f32) ==
        ConvEngine::unfolded);
  const Tensor sixteen = Tensor::zeros({16});
  const PreactivationStages chain{
      {{{sixteen, sixteen, sixteen, sixteen}, Tensor::zeros({16, 1, 1, 16}), 1, 0}}};
  const bool has_engine = packs_1x1(problem_of({2, 8, 8, 16}, chain.stages[0])) || onednn::is_available();
  CHECK_FALSE(is_chained(Tensor::zeros({1, 8, 8, 16}), chain));
  CHECK(is_chained(Tensor::zeros({2, 8, 8, 16}), chain) == has_engine);
  CHECK(is_chained(Tensor::zeros({2, 8, 8, 16}, Dtype::bf16), chain) == has_engine);
  CHECK_FALSE(is_chained(Tensor::zeros({2, 8, 8, 16}, Dtype::f64), chain));
}
