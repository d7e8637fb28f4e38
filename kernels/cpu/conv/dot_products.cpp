#include "fovea/kernels/cpu/conv/dot_products.h"

#include "fovea/core/check.h"
#include "fovea/core/environment.h"

namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT {
namespace {

bool is_fast() {
#if defined(__AVX512BF16__) && defined(__AVX512F__)
  __builtin_cpu_init();
  return __builtin_cpu_is("amd");
#else
  return false;
#endif
}

bool are_wanted() {
  const std::string said = environment("FOVEA_BF16");
  check<UsageError>(said.empty() || said == "dot" || said == "f32", "FOVEA_BF16 is \"", said,
                    "\", wanted dot, f32, or nothing");
  return said.empty() ? is_fast() : said == "dot";
}

}  // namespace

bool uses_dot_products() {
  static const bool uses = are_wanted();
  return uses;
}

}  // namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT
