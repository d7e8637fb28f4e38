#pragma once

#include "fovea/core/device.h"
#include "fovea/core/dtype.h"
#include "fovea/core/enum_names.h"
#include "fovea/layers/module.h"

#pragma GCC visibility push(default)
namespace fovea {

/// The numbers that a network computes with. Parameters, their updates, statistics and sums are f32 in every
/// case; tf32 rounds the factors of products and convolutions on a CUDA device; bf16 and f16 are the dtype of
/// activations, their gradients and the weights that layers see, f16 with dynamic loss scaling.
enum class Precision { f32, tf32, bf16, f16 };
template <>
inline constexpr EnumNames enum_names<Precision>{"precision", {"f32", "tf32", "bf16", "f16"}};
/// The dtype of activations.
Dtype activation_dtype(Precision precision);

/// TF32 allowed or not while it lives; afterwards as before.
class TF32Scope {
 public:
  explicit TF32Scope(bool allowed) : before_(tf32_allowed()) { set_tf32(allowed); }
  ~TF32Scope() { set_tf32(before_); }
  TF32Scope(const TF32Scope&) = delete;
  TF32Scope& operator=(const TF32Scope&) = delete;

 private:
  bool before_;
};

/// For inference: rounds the parameters, but those that their layer wants in f32, to the activations' dtype,
/// and allows tf32 if that is meant.
void set_precision(Module& module, Precision precision);

}  // namespace fovea
#pragma GCC visibility pop
