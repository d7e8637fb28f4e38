#include "fovea/kernels/cpu_variant.h"

#include <algorithm>

#include "fovea/core/check.h"
#include "fovea/core/environment.h"
#include "fovea/core/suggestion.h"

namespace fovea::kernels {
namespace {

/// Whether the processor, and the operating system with it, can run a variant.
bool is_usable([[maybe_unused]] const std::string& variant) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                        __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
  const bool has_avx512 = has_avx2 && __builtin_cpu_supports("avx512f") &&
                          __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512bw") &&
                          __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  if (variant == "avx2") return has_avx2;
  if (variant == "avx512") return has_avx512;
  if (variant == "avx512_bf16") return has_avx512 && __builtin_cpu_supports("avx512bf16");
#endif
  return true;  // sse2, native and generic: what all of the library is compiled for
}

std::size_t choose() {
  const std::vector<std::string> all = cpu_variants(), usable = usable_cpu_variants();
  const std::string wanted = environment("FOVEA_CPU"), chosen = wanted.empty() ? usable.back() : wanted;
  const bool is_usable = std::find(usable.begin(), usable.end(), chosen) != usable.end();
  const bool is_known = std::find(all.begin(), all.end(), chosen) != all.end();
  check<UsageError>(is_usable, "FOVEA_CPU is \"", wanted, "\", which ",
                    is_known ? "this processor cannot run" : "this build of Fovea does not have",
                    "; wanted one of ", joined(usable), ", or nothing for the last of them");
  return static_cast<std::size_t>(std::find(all.begin(), all.end(), chosen) - all.begin());
}

}  // namespace

std::vector<std::string> cpu_variants() {
#define FOVEA_CPU_VARIANT_NAME(variant, ...) #variant,
  return {FOVEA_FOR_EACH_CPU_VARIANT(FOVEA_CPU_VARIANT_NAME)};
#undef FOVEA_CPU_VARIANT_NAME
}

std::vector<std::string> usable_cpu_variants() {
  std::vector<std::string> names = cpu_variants();
  std::erase_if(names, [](const std::string& name) { return !is_usable(name); });
  return names;
}

std::string cpu_variant() {
  return cpu_variants()[cpu_variant_index()];
}

std::size_t cpu_variant_index() {
  static const std::size_t index = choose();
  return index;
}

}  // namespace fovea::kernels
