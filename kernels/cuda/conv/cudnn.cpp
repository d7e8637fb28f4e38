#include "fovea/kernels/cuda/conv/cudnn.h"

#include <array>

#include "fovea/core/check.h"

namespace fovea::cudnn {

void check_cudnn(cudnnStatus_t status, const char* action) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  std::array<char, 1024> details{};
  cudnnGetLastErrorString(details.data(), details.size());
  std::string words(details.data());
  while (!words.empty() && (words.back() == '\n' || words.back() == ' ')) words.pop_back();
  const std::string message =
      str("cudnn: ", action, ": ", cudnnGetErrorString(status), words.empty() ? "" : ": ", words);
  if (status == CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED) throw OutOfMemory(message);
  throw DeviceError(message);
}

Descriptor::Descriptor(cudnnBackendDescriptorType_t type) {
  check_cudnn(cudnnBackendCreateDescriptor(type, &descriptor_), "create a descriptor");
}

Descriptor::~Descriptor() {
  if (descriptor_ != nullptr) cudnnBackendDestroyDescriptor(descriptor_);
}

void Descriptor::set(cudnnBackendAttributeName_t name, const Descriptor& value) {
  set_values(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &value.descriptor_);
}

void Descriptor::set_all(cudnnBackendAttributeName_t name, std::span<const Descriptor> values) {
  std::vector<cudnnBackendDescriptor_t> raw;
  for (const Descriptor& value : values) raw.push_back(value.descriptor_);
  set_values(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, static_cast<int64_t>(raw.size()), raw.data());
}

void Descriptor::finalize() {
  check_cudnn(cudnnBackendFinalize(descriptor_), "finalise a descriptor");
}

std::vector<Descriptor> Descriptor::get_all(cudnnBackendAttributeName_t name,
                                            cudnnBackendDescriptorType_t type) const {
  const int64_t count = get_values(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, nullptr);
  std::vector<Descriptor> result;
  for (int64_t i = 0; i < count; ++i) result.emplace_back(type);
  result.erase(result.begin() + static_cast<int64_t>(read_into(result, name)), result.end());
  return result;
}

size_t Descriptor::read_into(std::span<const Descriptor> room, cudnnBackendAttributeName_t name) const {
  std::vector<cudnnBackendDescriptor_t> raw;
  for (const Descriptor& place : room) raw.push_back(place.descriptor_);
  return static_cast<size_t>(
      get_values(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, static_cast<int64_t>(raw.size()), raw.data()));
}

void Descriptor::set_values(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t count,
                            const void* values) {
  check_cudnn(cudnnBackendSetAttribute(descriptor_, name, type, count, values), "set an attribute");
}

int64_t Descriptor::get_values(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                               int64_t room, void* values) const {
  int64_t count = 0;
  check_cudnn(cudnnBackendGetAttribute(descriptor_, name, type, room, &count, values), "get an attribute");
  return count;
}

Target Target::described(const std::string& json) {
  auto properties = std::make_shared<Descriptor>(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR);
  properties->set_all(CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, std::span<const char>(json));
  properties->finalize();
  Target result;
  result.properties_ = std::move(properties);
  return result;
}

std::string version() {
  const size_t number = cudnnGetVersion();
  return str(number / 10000, ".", number / 100 % 100, ".", number % 100);
}

}  // namespace fovea::cudnn
