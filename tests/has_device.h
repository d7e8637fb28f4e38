#pragma once

#include <catch2/catch.hpp>

#include "fovea/core/device.h"

namespace fovea::test {

/// Whether there is a CUDA device, emulated or real; says why a test is skipped if there is none.
inline bool has_device() {
  const CudaStatus status = cuda_status();
  if (status.device_count == 0) WARN("skipped: " << status.reason);
  return status.device_count > 0;
}

}  // namespace fovea::test
