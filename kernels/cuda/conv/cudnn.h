#pragma once

#include <cudnn_graph.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

/// cuDNN's graph API: everything is a descriptor that gets attributes and is then finalised.
namespace fovea::cudnn {

/// A DeviceError "cudnn: <action>: <cuDNN's words>" unless `status` is success, and OutOfMemory if that is
/// why. A caller that knows the operation and its shapes adds them.
void check_cudnn(cudnnStatus_t status, const char* action);

/// cuDNN's name for the type of an attribute's values.
template <class T>
inline constexpr cudnnBackendAttributeType_t attribute_type = [] {
  static_assert(sizeof(T) == 0, "no attribute type for this type");
  return CUDNN_TYPE_INT64;
}();
template <>
inline constexpr auto attribute_type<int64_t> = CUDNN_TYPE_INT64;
template <>
inline constexpr auto attribute_type<float> = CUDNN_TYPE_FLOAT;
template <>
inline constexpr auto attribute_type<char> = CUDNN_TYPE_CHAR;
template <>
inline constexpr auto attribute_type<void*> = CUDNN_TYPE_VOID_PTR;
template <>
inline constexpr auto attribute_type<cudnnHandle_t> = CUDNN_TYPE_HANDLE;
template <>
inline constexpr auto attribute_type<cudnnDataType_t> = CUDNN_TYPE_DATA_TYPE;
template <>
inline constexpr auto attribute_type<cudnnConvolutionMode_t> = CUDNN_TYPE_CONVOLUTION_MODE;
template <>
inline constexpr auto attribute_type<cudnnBackendHeurMode_t> = CUDNN_TYPE_HEUR_MODE;
template <>
inline constexpr auto attribute_type<cudnnBackendKnobType_t> = CUDNN_TYPE_KNOB_TYPE;
template <>
inline constexpr auto attribute_type<cudnnBackendNumericalNote_t> = CUDNN_TYPE_NUMERICAL_NOTE;
template <>
inline constexpr auto attribute_type<cudnnBackendBehaviorNote_t> = CUDNN_TYPE_BEHAVIOR_NOTE;

/// Owns one of cuDNN's descriptors.
class Descriptor {
 public:
  explicit Descriptor(cudnnBackendDescriptorType_t type);
  ~Descriptor();
  Descriptor(Descriptor&& other) noexcept : descriptor_(std::exchange(other.descriptor_, nullptr)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }

  template <class T>
  void set(cudnnBackendAttributeName_t name, const T& value) {
    set_values(name, attribute_type<T>, 1, &value);
  }
  template <class T>
  void set_all(cudnnBackendAttributeName_t name, std::span<const T> values) {
    set_values(name, attribute_type<T>, static_cast<int64_t>(values.size()), values.data());
  }
  void set(cudnnBackendAttributeName_t name, const Descriptor& value);
  void set_all(cudnnBackendAttributeName_t name, std::span<const Descriptor> values);
  void finalize();

  template <class T>
  T get(cudnnBackendAttributeName_t name) const {
    T value{};
    get_values(name, attribute_type<T>, 1, &value);
    return value;
  }
  template <class T>
  std::vector<T> get_all(cudnnBackendAttributeName_t name) const {
    std::vector<T> values(static_cast<size_t>(get_values(name, attribute_type<T>, 0, nullptr)));
    const int64_t count =
        get_values(name, attribute_type<T>, static_cast<int64_t>(values.size()), values.data());
    values.resize(static_cast<size_t>(count));
    return values;
  }
  /// The descriptors of an attribute, which are of `type`.
  std::vector<Descriptor> get_all(cudnnBackendAttributeName_t name, cudnnBackendDescriptorType_t type) const;
  /// Reads the descriptors of an attribute into the first of `room`, and returns how many they are.
  size_t read_into(std::span<const Descriptor> room, cudnnBackendAttributeName_t name) const;

  cudnnBackendDescriptor_t raw() const { return descriptor_; }

 private:
  void set_values(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t count,
                  const void* values);
  /// Number of values that were written, or that there are if `room` is 0.
  int64_t get_values(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t room,
                     void* values) const;

  cudnnBackendDescriptor_t descriptor_ = nullptr;
};

/// The device for which cuDNN proposes engines and builds plans.
class Target {
 public:
  /// The current device and stream, by cuDNN's handle for plans there: for one thread at a time.
  static Target current();
  /// A device that need not be there, from cuDNN's own JSON. Its plans cannot be run.
  static Target described(const std::string& json);

  /// Names the device to a descriptor: some want to know it by its handle, some by its description.
  void name_by_handle(Descriptor& descriptor, cudnnBackendAttributeName_t name) const {
    if (handle_ != nullptr) descriptor.set(name, handle_);
  }
  void name_by_properties(Descriptor& descriptor, cudnnBackendAttributeName_t name) const {
    if (handle_ == nullptr) descriptor.set(name, *properties_);
  }

 private:
  Target() = default;

  cudnnHandle_t handle_ = nullptr;
  std::shared_ptr<const Descriptor> properties_;  // where there is no handle
};

/// Runs a plan on the current device and stream.
void execute(const Descriptor& plan, const Descriptor& variant_pack);

/// "9.19.0"
std::string version();

}  // namespace fovea::cudnn
