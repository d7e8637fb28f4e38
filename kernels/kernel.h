#pragma once

#include <array>
#include <string>
#include <type_traits>

#include "fovea/config.h"
#include "fovea/core/check.h"
#include "fovea/core/cuda_backend.h"
#include "fovea/core/profile.h"
#include "fovea/core/tensor.h"
#include "fovea/kernels/cpu_variant.h"

#pragma GCC visibility push(default)
namespace fovea::kernels {

/// Calls visit(tensor) for the tensors of a kernel's argument: itself, or those of a struct of tensors, which
/// has a member function for_each_tensor(visit).
template <class Argument, class Visit>
void for_each_tensor(const Argument& argument, Visit&& visit) {
  if constexpr (std::is_same_v<Argument, Tensor>) {
    visit(argument);
  } else if constexpr (requires { argument.for_each_tensor(visit); }) {
    argument.for_each_tensor(visit);
  }
}

/// To be called while `error` of a device is handled: throws it again, with an operation before its text and
/// `tensors` behind it, unless a kernel inside this one has done so. As DeviceLost if the device has failed
/// for good: libraries do not tell that from what they cannot do.
[[noreturn]] inline void rethrow_with(const DeviceError& error, int device, const std::string& tensors,
                                      const std::string& operation = "") {
  const bool is_out_of_memory = dynamic_cast<const OutOfMemory*>(&error) != nullptr;
  const bool was_lost = dynamic_cast<const DeviceLost*>(&error) != nullptr;
  const bool is_lost = was_lost || fovea::cuda::is_lost(device);
  std::string message = error.what();
  if (error.names_tensors && is_lost == was_lost) throw;
  if (!error.names_tensors)
    message = (operation.empty() ? "" : operation + ": ") + message + "; with " + tensors;
  if (is_lost) throw DeviceLost(message + (was_lost ? "" : DeviceLost::kAdvice), /*with_tensors=*/true);
  if (is_out_of_memory) throw OutOfMemory(message, /*with_tensors=*/true);
  throw DeviceError(message, /*with_tensors=*/true);
}

template <class Signature>
class Kernel;

/// A kernel under one name for all devices: calls the implementation of the device on which its tensors lie,
/// on the CPU that of the variant in use (cpu_variant.h).
/// Here, once for all kernels, are the check that all defined tensors share a device, the note that results
/// have changed (see Tensor::version), the profile scope, and the shapes in the errors of a device.
template <class... Parameters>
class Kernel<void(Parameters...)> {
 public:
  using Function = void (*)(Parameters...);
  using CpuFunctions = std::array<Function, kCpuVariants>;
  using MultiplyAdds = int64_t (*)(Parameters...);
  /// `multiply_adds` of its arguments: none where it is null.
  constexpr Kernel(const char* name, const CpuFunctions& cpu, Function cuda,
                   MultiplyAdds multiply_adds = nullptr)
      : name_(name), cpu_(cpu), cuda_(cuda), multiply_adds_(multiply_adds) {}
  /// One function on the CPU, which every processor can run: a kernel of another project.
  constexpr Kernel(const char* name, Function cpu, Function cuda, MultiplyAdds multiply_adds = nullptr)
      : name_(name), cpu_{}, cuda_(cuda), multiply_adds_(multiply_adds) {
    cpu_.fill(cpu);
  }

  void operator()(Parameters... arguments) const {
    const Tensor* first = nullptr;
    const auto meet = [&](const Tensor& tensor) {
      if (!tensor.defined()) return;
      if (first == nullptr) first = &tensor;
      check(tensor.device() == first->device(), name_, ": one tensor is on ", first->device(),
            ", another on ", tensor.device());
    };
    const auto each_tensor = [&](const auto& visit) { (for_each_tensor(arguments, visit), ...); };
    each_tensor(meet);
    (note_change<Parameters>(arguments), ...);
    const auto multiply_adds = [&] {
      return multiply_adds_ == nullptr ? int64_t{0} : multiply_adds_(arguments...);
    };
    const ProfileScope scope(name_, each_tensor, multiply_adds);
    if (first == nullptr || first->device().is_cpu()) {
      cpu_[cpu_variant_index()](arguments...);
    } else {
      // A tensor on a CUDA device was allocated by the CUDA backend, so that there is one.
      const int device = first->device().index;
      try {
        {
          const Launching launching(name_, device);
          cuda_(arguments...);
        }
        fovea::cuda::check_kernel(name_, /*wait=*/scope.is_on());
      } catch (const DeviceError& error) {
        std::string tensors;
        each_tensor([&](const Tensor& tensor) {
          if (tensor.defined()) tensors += (tensors.empty() ? "" : ", ") + tensor.str();
        });
        rethrow_with(error, device, tensors);
      }
    }
  }

 private:
  template <class Parameter>
  static void note_change(const std::remove_reference_t<Parameter>& argument) {
    constexpr bool is_result =
        std::is_lvalue_reference_v<Parameter> && !std::is_const_v<std::remove_reference_t<Parameter>>;
    if constexpr (is_result) for_each_tensor(argument, [](const Tensor& tensor) { tensor.mark_changed(); });
  }
  /// Ends what begin_kernel began, whatever the kernel throws.
  struct Launching {
    Launching(const char* name, int device) { fovea::cuda::begin_kernel(name, device); }
    ~Launching() { fovea::cuda::end_kernel(); }
    Launching(const Launching&) = delete;
    Launching& operator=(const Launching&) = delete;
  };

  const char* name_;
  CpuFunctions cpu_;
  Function cuda_;
  MultiplyAdds multiply_adds_;
};

}  // namespace fovea::kernels
#pragma GCC visibility pop

/// FOVEA_KERNEL(relu_forward, const Tensor& x, Tensor& y) declares relu_forward in cuda and in each variant's
/// namespace in cpu, and the callable relu_forward that picks one by device. A kernel that a backend of the
/// build does not define is a link error that names it. Use inside namespace fovea::kernels.
#define FOVEA_KERNEL(name, ...)                    \
  FOVEA_DECLARE_KERNEL(name, __VA_ARGS__)          \
  inline constexpr Kernel<void(__VA_ARGS__)> name( \
      #name, std::array{FOVEA_FOR_EACH_CPU_VARIANT(FOVEA_CPU_FUNCTION, name)}, &cuda::name)

/// FOVEA_KERNEL for one that multiplies and adds: declares name_multiply_adds, too, which says of its
/// arguments how often. All of those are defined in multiply_adds.cpp.
#define FOVEA_MULTIPLYING_KERNEL(name, ...)                                                 \
  FOVEA_DECLARE_KERNEL(name, __VA_ARGS__)                                                   \
  int64_t name##_multiply_adds(__VA_ARGS__);                                                \
  inline constexpr Kernel<void(__VA_ARGS__)> name(                                          \
      #name, std::array{FOVEA_FOR_EACH_CPU_VARIANT(FOVEA_CPU_FUNCTION, name)}, &cuda::name, \
      &name##_multiply_adds)

#define FOVEA_CPU_FUNCTION(variant, name) &cpu::variant::name,

/// Declares cpu::<variant>::name and cuda::name.
#define FOVEA_DECLARE_KERNEL(name, ...)                                     \
  FOVEA_FOR_EACH_CPU_VARIANT(FOVEA_DECLARE_CPU_FUNCTION, name, __VA_ARGS__) \
  namespace cuda {                                                          \
  FOVEA_CUDA_FUNCTION void name(__VA_ARGS__);                               \
  }

#define FOVEA_DECLARE_CPU_FUNCTION(variant, name, ...) \
  namespace cpu::variant {                             \
  void name(__VA_ARGS__);                              \
  }
