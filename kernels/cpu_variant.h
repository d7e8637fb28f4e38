#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "fovea/config.h"

/// The CPU's kernels may be in the library several times, compiled for one set of instructions each: a
/// variant. One binary then runs on every x86-64 processor, and as fast as one compiled for it alone. The
/// first kernel that is called picks the variant, for as long as the process lives: FOVEA_CPU from the
/// environment, or else the last of those below that the processor has.
///
///   sse2          every x86-64 processor
///   avx2          AVX2, FMA, BMI and BMI2: Intel's since 2013, AMD's since 2015 (Haswell, Excavator)
///   avx512        AVX-512 F, CD, BW, DQ and VL: Skylake's servers, Zen 4
///   avx512_bf16   the same with AVX512_BF16: Cooper Lake, Sapphire Rapids, Zen 4
///
/// A build that is tuned for its own machine (FOVEA_NATIVE) has one variant, "native", and one for another
/// architecture, or by the compiler's flags alone, "generic".
#pragma GCC visibility push(default)
namespace fovea::kernels {

#define FOVEA_COUNT_CPU_VARIANT(variant, ...) +1
inline constexpr std::size_t kCpuVariants = FOVEA_FOR_EACH_CPU_VARIANT(FOVEA_COUNT_CPU_VARIANT);
#undef FOVEA_COUNT_CPU_VARIANT

/// The variants in this library, in the order of what they ask of a processor.
std::vector<std::string> cpu_variants();

/// Those that this processor can run.
std::vector<std::string> usable_cpu_variants();

/// The one in use. UsageError if FOVEA_CPU is not among usable_cpu_variants().
std::string cpu_variant();

/// Its place in cpu_variants().
std::size_t cpu_variant_index();

}  // namespace fovea::kernels
#pragma GCC visibility pop
