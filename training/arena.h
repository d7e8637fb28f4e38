#pragma once

#include <cstdint>

namespace fovea {

/// In elements: every tensor in an arena, one after the other, begins on a cache line, in 16 bits as well.
inline constexpr int64_t kArenaAlignment = 32;

/// How much room a tensor of `size` elements takes in an arena.
constexpr int64_t size_in_arena(int64_t size) {
  return (size + kArenaAlignment - 1) / kArenaAlignment * kArenaAlignment;
}

}  // namespace fovea
