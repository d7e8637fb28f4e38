#include "fovea/core/tensor.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <map>
#include <mutex>
#include <new>
#include <ostream>
#include <utility>

#include "fovea/core/allocator.h"
#include "fovea/core/check.h"
#include "fovea/core/cuda_backend.h"
#include "fovea/core/device_dtype.h"
#include "fovea/core/fork.h"
#include "fovea/core/profile.h"

namespace fovea {

struct Tensor::Storage {
  Storage(size_t size, Device where) : pointer(allocate(size, where)), bytes(size), device(where) {}
  ~Storage() { deallocate(pointer, bytes, device); }
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  /// Which elements a form is made of, and how they are seen.
  struct Place {
    const void* kind;
    int64_t offset;
    Shape shape;
    auto operator<=>(const Place&) const = default;
  };

  /// A number that rises when the elements may have changed since it was asked for. Under the forms' lock.
  uint64_t state() {
    if (is_written.exchange(false, std::memory_order_relaxed)) ++writes;
    return version.load(std::memory_order_relaxed) + writes;
  }

  void* pointer;
  size_t bytes;
  Device device;
  std::atomic<uint64_t> version{0};
  // A pointer that may write was given away since the state was asked for.
  std::atomic<bool> is_written{false};
  uint64_t writes = 0;
  std::map<Place, Tensor> forms;  // undefined: one that was asked for once
  uint64_t forms_state = 0;       // in which they were made
};

namespace {

std::mutex& forms_mutex() {
  static auto* mutex = new std::mutex;
  return *mutex;
}
const ForkLock fork_lock{ForkOrder::tensor_forms, [] { forms_mutex().lock(); },
                         [] { forms_mutex().unlock(); }};

}  // namespace

Tensor Tensor::empty(const Shape& shape, Dtype dtype, Device device) {
  Tensor result;
  result.shape_ = shape;
  result.size_ = shape.size();
  result.dtype_ = dtype;
  check(result.size_ <= (int64_t{1} << 56), "Tensor: ", shape, " has too many elements");
  check_dtype("Tensor", dtype, device);
  result.storage_ = std::make_shared<Storage>(std::max<size_t>(result.bytes(), 1), device);
  return result;
}

Tensor Tensor::empty_like(const Tensor& other) {
  return empty(other.shape(), other.dtype(), other.device());
}

Tensor Tensor::zeros(const Shape& shape, Dtype dtype, Device device) {
  Tensor result = empty(shape, dtype, device);
  result.fill_with_zeros();
  return result;
}

Tensor Tensor::zeros_like(const Tensor& other) {
  return zeros(other.shape(), other.dtype(), other.device());
}

Tensor Tensor::full(const Shape& shape, double value, Dtype dtype, Device device) {
  Tensor result = empty(shape, dtype);
  visit_dtype(dtype, [&]<class T>() {
    T element;
    if constexpr (std::is_same_v<T, bf16> || std::is_same_v<T, f16>) {
      element = T(static_cast<float>(value));
    } else {
      element = static_cast<T>(value);
    }
    std::fill_n(result.data<T>(), result.size(), element);
  });
  return result.to(device);
}

Device Tensor::device() const {
  check(defined(), "Tensor: an undefined tensor has no device");
  return storage_->device;
}

uint64_t Tensor::version() const {
  return defined() ? storage_->version.load(std::memory_order_relaxed) : 0;
}

void Tensor::mark_changed() const {
  if (defined()) storage_->version.fetch_add(1, std::memory_order_relaxed);
}

void* Tensor::address() const {
  check(defined(), "Tensor: an undefined tensor has no data");
  return static_cast<std::byte*>(storage_->pointer) + static_cast<size_t>(offset_) * size_of(dtype_);
}

void* Tensor::raw() {
  void* const result = address();
  // Written only once: the threads that write parts of a result share its line of the cache.
  std::atomic<bool>& is_written = storage_->is_written;
  if (!is_written.load(std::memory_order_relaxed)) is_written.store(true, std::memory_order_relaxed);
  return result;
}

const void* Tensor::raw() const {
  return address();
}

Tensor Tensor::form(const void* kind, const std::function<Tensor()>& make) const {
  check(defined(), "Tensor: an undefined tensor has no form");
  const Storage::Place place{kind, offset_, shape_};
  uint64_t state = 0;
  bool is_again = false;
  std::map<Storage::Place, Tensor> outdated;  // destroyed without the lock
  try {
    const std::lock_guard lock(forms_mutex());
    state = storage_->state();
    if (state != storage_->forms_state) outdated.swap(storage_->forms);
    storage_->forms_state = state;
    const auto [known, is_new] = storage_->forms.try_emplace(place);
    if (known->second.defined()) return known->second;
    is_again = !is_new;
  } catch (const std::bad_alloc&) {
    return make();  // without the memory to note it, it is not kept
  }
  outdated.clear();
  Tensor made = make();
  if (is_again) {
    const std::lock_guard lock(forms_mutex());
    const auto noted = storage_->forms.find(place);
    if (storage_->forms_state == state && noted != storage_->forms.end()) noted->second = made;
  }
  return made;
}

void Tensor::check_access(Dtype wanted) const {
  check(defined(), "Tensor::data: the tensor is undefined");
  check(dtype_ == wanted, "Tensor::data: the tensor is ", *this, ", read as ", wanted);
}

Tensor Tensor::reshape(const Shape& shape) const {
  check(defined(), "reshape: the tensor is undefined");
  check(shape.size() == size_, "reshape: ", shape_, " has ", size_, " elements, ", shape, " has ",
        shape.size());
  Tensor result = *this;
  result.shape_ = shape;
  return result;
}

Tensor Tensor::slice(int64_t offset, const Shape& shape) const {
  check(defined(), "slice: the tensor is undefined");
  const int64_t count = shape.size();
  check(offset >= 0 && offset <= size_ && count <= size_ - offset, "slice: ", count, " elements from ",
        offset, " on do not lie in ", shape_);
  Tensor result = *this;
  result.shape_ = shape;
  result.size_ = count;
  result.offset_ = offset_ + offset;
  return result;
}

Tensor Tensor::clone() const {
  Tensor result = empty_like(*this);
  result.copy_from(*this);
  return result;
}

Tensor Tensor::to(Device target) const {
  if (device() == target) return *this;
  Tensor result = empty(shape_, dtype_, target);
  result.copy_from(*this);
  return result;
}

void Tensor::copy_from(const Tensor& source) {
  check(defined() && source.defined(), "copy_from: a tensor is undefined");
  check(shape_ == source.shape_ && dtype_ == source.dtype_, "copy_from: ", source, " into ", *this);
  mark_changed();
  const ProfileScope scope("copy", [&](const auto& visit) { visit(source), visit(*this); });
  if (device().is_cpu() && source.device().is_cpu()) {
    std::memmove(raw(), source.raw(), bytes());
    return;
  }
  cuda::copy(raw(), device(), source.raw(), source.device(), bytes());
  cuda::check_kernel("copy", /*wait=*/scope.is_on());
}

void Tensor::fill_with_zeros() {
  mark_changed();
  const ProfileScope scope("fill_with_zeros", [&](const auto& visit) { visit(*this); });
  if (device().is_cpu()) {
    std::memset(raw(), 0, bytes());
    return;
  }
  cuda::fill_with_zeros(raw(), bytes(), device().index);
  cuda::check_kernel("fill_with_zeros", /*wait=*/scope.is_on());
}

double Tensor::item() const {
  check(defined() && size_ == 1, "item: ", *this, " does not have exactly one element");
  return to_doubles()[0];
}

std::vector<double> Tensor::to_doubles() const {
  const Tensor host = to(Device::cpu());
  std::vector<double> values(static_cast<size_t>(size_));
  visit_dtype(dtype_, [&]<class T>() {
    const T* x = host.data<T>();
    for (size_t i = 0; i < values.size(); ++i) {
      if constexpr (std::is_same_v<T, bf16> || std::is_same_v<T, f16>) {
        values[i] = static_cast<double>(static_cast<float>(x[i]));
      } else {
        values[i] = static_cast<double>(x[i]);
      }
    }
  });
  return values;
}

std::string Tensor::str() const {
  return defined() ? name_of(dtype_) + shape_.str() : "undefined";
}

std::ostream& operator<<(std::ostream& out, const Tensor& tensor) {
  return out << tensor.str();
}

}  // namespace fovea
