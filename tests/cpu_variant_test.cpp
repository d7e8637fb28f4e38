// The variants of the CPU's kernels, and who chooses one.
#include "fovea/kernels/cpu_variant.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>

#include "fovea/kernels/relu.h"
#include "run_program.h"

using namespace fovea;
using Catch::Contains;

namespace {

/// This program's hidden test case below, with FOVEA_CPU set.
Outcome with_variant(const std::string& variant) {
  return run_program({"env", "FOVEA_CPU=" + variant, this_program(), "[chosen]"});
}

}  // namespace

TEST_CASE("cpu_variant: what is chosen", "[.chosen]") {
  // An operation that the variant computes, before anybody asked which one it is.
  Tensor x = Tensor::empty({3, 37});
  for (int64_t i = 0; i < x.size(); ++i) x.data<float>()[i] = static_cast<float>(i - 50);
  Tensor y = Tensor::empty_like(x);
  kernels::relu_forward(x, y);
  for (int64_t i = 0; i < x.size(); ++i)
    CHECK(y.data<float>()[i] == static_cast<float>(std::max<int64_t>(i - 50, 0)));
  WARN("kernels for " << kernels::cpu_variant());
}

TEST_CASE("cpu_variant: the best that the processor can run, or FOVEA_CPU's") {
  const std::vector<std::string> all = kernels::cpu_variants(), usable = kernels::usable_cpu_variants();
  REQUIRE(all.size() == kernels::kCpuVariants);
  REQUIRE_FALSE(usable.empty());
  CHECK(usable.front() == all.front());
  for (const std::string& variant : usable) CHECK(std::count(all.begin(), all.end(), variant) == 1);
  const char* forced = std::getenv("FOVEA_CPU");
  CHECK(kernels::cpu_variant() == (forced == nullptr ? usable.back() : forced));
  CHECK(all[kernels::cpu_variant_index()] == kernels::cpu_variant());
}

TEST_CASE("cpu_variant: FOVEA_CPU chooses each that the processor can run, and no other") {
  for (const std::string& variant : kernels::cpu_variants()) {
    const std::vector<std::string> usable = kernels::usable_cpu_variants();
    const bool is_usable = std::count(usable.begin(), usable.end(), variant) == 1;
    const Outcome outcome = with_variant(variant);
    INFO(outcome.out << outcome.err);
    CHECK((outcome.code == 0) == is_usable);
    CHECK_THAT(outcome.out, Contains(is_usable ? "kernels for " + variant
                                               : "FOVEA_CPU is \"" + variant +
                                                     "\", which this processor cannot run; wanted one of " +
                                                     usable.front()));
  }
  const Outcome unknown = with_variant("sse9");
  CHECK(unknown.code != 0);
  CHECK_THAT(unknown.out, Contains("FOVEA_CPU is \"sse9\", which this build of Fovea does not have; wanted"));
}
