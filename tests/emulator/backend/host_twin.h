#pragma once

#include <cstring>
#include <initializer_list>
#include <utility>
#include <vector>

#include "emulator.h"
#include "fovea/core/cuda/runtime.h"
#include "fovea/core/ranks.h"
#include "fovea/core/tensor.h"

namespace fovea::emulator {

/// Runs body(inputs, outputs) on CPU copies of device tensors, in stream order, and copies the outputs back.
/// What is recorded keeps the addresses, not the tensors: as on a device, their memory must live on.
template <class Body>
void on_host_twins(const char* operation, std::initializer_list<const Tensor*> inputs,
                   std::initializer_list<Tensor*> outputs, Body body) {
  struct Place {
    Shape shape;
    Dtype dtype;
    size_t bytes;
    const void* address;  // null: an undefined tensor
  };
  const auto place_of = [](const Tensor& tensor) {
    if (!tensor.defined()) return Place{{}, Dtype::f32, 0, nullptr};
    return Place{tensor.shape(), tensor.dtype(), tensor.bytes(), tensor.raw()};
  };
  std::vector<Place> in, out;
  for (const Tensor* tensor : inputs) in.push_back(place_of(*tensor));
  for (const Tensor* tensor : outputs) out.push_back(place_of(*tensor));
  const auto run = [in, out, body] {
    const DeviceMemoryAccess access;
    const SharedBatch alone(nullptr, false);  // a library of a device knows of no ranks
    std::vector<Tensor> host_in, host_out;
    for (const Place& place : in) {
      host_in.push_back(place.address == nullptr ? Tensor() : Tensor::empty(place.shape, place.dtype));
      if (place.address != nullptr) std::memcpy(host_in.back().raw(), place.address, place.bytes);
    }
    for (const Place& place : out) host_out.push_back(Tensor::empty(place.shape, place.dtype));
    body(std::as_const(host_in), host_out);
    for (size_t i = 0; i < out.size(); ++i) {
      std::memcpy(const_cast<void*>(out[i].address), host_out[i].raw(), out[i].bytes);
    }
  };
  const auto bytes_of = [](const std::vector<Place>& places) {
    int64_t sum = 0;
    for (const Place& place : places) sum += static_cast<int64_t>(place.bytes);
    return sum;
  };
  submit(cuda::current_stream(), {operation, run, bytes_of(in), bytes_of(out)});
}

}  // namespace fovea::emulator
