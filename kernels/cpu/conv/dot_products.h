#pragma once

/// Products of pairs of bf16, as AVX512_BF16 has them: a 32-bit word holds two neighbours along the sum, and
/// an instruction multiplies 16 pairs and adds both products to 16 f32.
namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT {

/// Whether packed 1x1 convolutions of bf16 multiply pairs: where that is faster than f32's products. AMD's
/// processors from Zen 4 on do twice as many (by their tables of instructions); Intel's without AMX do half
/// as many (measured on Emerald Rapids: 44 against 88 GFMA/s a core), so that they widen to f32.
/// FOVEA_BF16=dot and =f32 say so for any processor.
bool uses_dot_products();

}  // namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT
