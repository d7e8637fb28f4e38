#pragma once

#include <cstdint>

#include "fovea/kernels/cpu/affine.h"
#include "fovea/kernels/cpu/vec.h"

namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT {

/// Where the channels of pixels lie, whose number is a multiple of kLanes<float>: pixel by pixel, or in
/// packed panels (panels.h), vector of channels by vector of channels.
struct PixelLayout {
  int64_t pixel;  // numbers from a pixel to the next
  int64_t panel;  // numbers from a vector of channels to the next

  static PixelLayout rows(int64_t channels) { return {channels, kLanes<float>}; }
  static PixelLayout panels(int64_t pixels) { return {kLanes<float>, pixels * kLanes<float>}; }

  /// The vector of channels from `c` on.
  int64_t at(int64_t index, int64_t c) const { return index * pixel + c / kLanes<float> * panel; }
};

/// Where f32 pixels are written, and what becomes of them before: with an affine relu(norm(value)), as the
/// next convolution of a chain reads it.
struct PixelOutput {
  float* to;
  PixelLayout layout;
  const Affine<float>* affine = nullptr;
  bool is_rounded = false;  // value to bf16, as if it had been stored in between

  /// A function from a value of the channels from `c` on to what is stored.
  auto activation(int64_t c) const {
    return [channels = affine->at(c, AllLanes<float>()), rounds = is_rounded](Vec<float> value) {
      return channels.activate(rounds ? widen(round_to_bf16(value)) : value);
    };
  }
};

}  // namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT
