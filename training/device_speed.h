#pragma once

#include <functional>

#include "fovea/core/dtype.h"
#include "fovea/core/profile_report.h"
#include "fovea/training/precision.h"

#pragma GCC visibility push(default)
namespace fovea {

/// Bytes per second of a copy, read and written bytes counted; the median of several. CPU: between two
/// tensors of 64 MB, on all threads. CUDA: within the device, 256 MB.
double copy_bandwidth(Device device);
/// Floating-point operations per second of a product of two large square matrices; the median of several. On
/// the CPU in 16 bits they are widened, so that what multiplies pairs of bf16 may be faster.
double product_rate(Device device, Dtype dtype);
/// Both, in the dtype of a precision's activations; gives the memory back that it took on a CUDA device.
DeviceSpeed measure_speed(Device device, Precision precision);

/// Normal numbers on a device, never zeros: zeros are faster on some machines. `stream` makes tensors differ.
/// On a CUDA device a million numbers, repeated.
Tensor repeated_normal(const Shape& shape, uint32_t stream, float deviation, Dtype dtype, Device device);

/// The median of what `sample` gives, called again and again for a while.
double median_of(const std::function<double()>& sample);
/// Seconds of `body` on a CUDA device, with nothing of its data in the cache. The filling that clears the
/// cache is still running when `body` is launched, so that the launches are hidden.
double seconds_cold(Device device, const std::function<void()>& body);

}  // namespace fovea
#pragma GCC visibility pop
