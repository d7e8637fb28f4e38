#pragma once

#include <catch2/catch.hpp>
#include <cstdlib>
#include <string>
#include <vector>

#include "fovea/core/safetensors.h"

namespace fovea {

/// The stored images of tests/golden/make_images.py whose names begin with `prefix`.
inline std::vector<NamedTensor> golden_images(const std::string& prefix) {
  std::vector<NamedTensor> found;
  for (const NamedTensor& entry : read_safetensors(FOVEA_GOLDEN_DIR "/images.safetensors").tensors) {
    if (entry.name.starts_with(prefix)) found.push_back(entry);
  }
  return found;
}

/// Checks that two images have the same shape, and that at least `share` of the bytes differ by at most
/// `most`.
inline void check_alike(const Tensor& found, const Tensor& wanted, int most, double share) {
  REQUIRE(found.shape() == wanted.shape());
  const auto a = found.span<uint8_t>(), b = wanted.span<uint8_t>();
  int64_t near = 0;
  for (size_t i = 0; i < a.size(); ++i) near += std::abs(a[i] - b[i]) <= most ? 1 : 0;
  CHECK(static_cast<double>(near) >= share * static_cast<double>(a.size()));
}

}  // namespace fovea
