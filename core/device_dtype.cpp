#include "fovea/core/device_dtype.h"

#include "fovea/core/check.h"

namespace fovea {

bool has_bf16(Device device) {
  if (device.is_cpu()) return true;
  check_usable("device", device);
  return cuda::has_bf16(device.index);
}

void check_dtype(const char* operation, Dtype dtype, Device device) {
  if (dtype != Dtype::bf16 || has_bf16(device)) return;
  throw DeviceError(str(operation, ": a tensor of bf16 on ", device, ", which is ", describe(device),
                        "; bf16 needs compute capability 8.0 or later, wanted f16 or f32"));
}

}  // namespace fovea
