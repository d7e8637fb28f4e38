#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "fovea/core/device.h"
#include "fovea/core/dtype.h"
#include "fovea/core/shape.h"

#pragma GCC visibility push(default)
namespace fovea {

/// A contiguous array of numbers. Copying a Tensor shares its storage; `clone` copies the numbers.
/// A default-constructed Tensor is undefined: it has no storage, and stands for "none".
class Tensor {
 public:
  Tensor() = default;

  /// Uninitialised numbers.
  static Tensor empty(const Shape& shape, Dtype dtype = Dtype::f32, Device device = Device::cpu());
  static Tensor empty_like(const Tensor& other);
  static Tensor zeros(const Shape& shape, Dtype dtype = Dtype::f32, Device device = Device::cpu());
  static Tensor zeros_like(const Tensor& other);
  static Tensor full(const Shape& shape, double value, Dtype dtype = Dtype::f32,
                     Device device = Device::cpu());
  /// A CPU copy of `values`, in the dtype of T.
  template <class T>
  static Tensor from(const std::vector<T>& values, const Shape& shape);

  bool defined() const { return storage_ != nullptr; }
  const Shape& shape() const { return shape_; }
  int64_t shape(int axis) const { return shape_[axis]; }
  int rank() const { return shape_.rank(); }
  /// Number of elements.
  int64_t size() const { return size_; }
  size_t bytes() const { return static_cast<size_t>(size_) * size_of(dtype_); }
  Dtype dtype() const { return dtype_; }
  Device device() const;

  /// The first element, as T, or as it is; an Error for an undefined tensor, and if T is not its dtype. Who
  /// keeps a pointer that may write, and writes through it later, calls mark_changed then.
  template <class T>
  T* data();
  template <class T>
  const T* data() const;
  void* raw();
  const void* raw() const;
  /// The elements of a CPU tensor, as T.
  template <class T>
  std::span<const T> span() const {
    return {data<T>(), static_cast<size_t>(size_)};
  }

  /// These numbers under another shape of the same size; shares the storage.
  Tensor reshape(const Shape& shape) const;
  /// `shape.size()` consecutive elements from element `offset` on; shares the storage.
  Tensor slice(int64_t offset, const Shape& shape) const;
  Tensor clone() const;
  /// This tensor on another device; itself if it is there already.
  Tensor to(Device device) const;
  /// Copies the numbers of a tensor of the same shape and dtype.
  void copy_from(const Tensor& source);
  /// Sets every element to 0.
  void fill_with_zeros();
  /// The only element, converted to double.
  double item() const;
  /// All elements, converted to double.
  std::vector<double> to_doubles() const;

  /// How often the numbers of the storage were changed: by copy_from, fill_with_zeros, and kernels. Tensors
  /// that share a storage share it. Autograd compares it, so that a value which changes between an operation
  /// and its backward pass is an Error and not a wrong gradient.
  uint64_t version() const;
  /// For who changes numbers through data() or raw() where autograd may have them: see version.
  void mark_changed() const;

  /// What `make()` makes of these numbers and takes long, such as filters packed for a product. From the
  /// second time on that it is asked for while the numbers stay as they are it is kept with the storage,
  /// until they change (by a kernel, mark_changed, or a pointer that may write) and a form is asked for
  /// again. `kind` tells forms of the same elements and shape apart: the address of an object of static
  /// storage. `make` returns a new tensor, which shares nothing with this one and is not changed any more;
  /// several threads may call theirs at once. An Error for an undefined tensor.
  Tensor form(const void* kind, const std::function<Tensor()>& make) const;

  /// How many tensors share the storage: 1 means that it may be overwritten.
  int64_t use_count() const { return storage_.use_count(); }
  /// "f32[128, 32, 32, 64]"; "undefined"
  std::string str() const;

 private:
  struct Storage;
  void check_access(Dtype wanted) const;
  void* address() const;

  std::shared_ptr<Storage> storage_;
  int64_t offset_ = 0;  // in elements
  int64_t size_ = 0;
  Shape shape_;
  Dtype dtype_ = Dtype::f32;
};

std::ostream& operator<<(std::ostream& out, const Tensor& tensor);

template <class T>
T* Tensor::data() {
  check_access(dtype_of<T>);
  return static_cast<T*>(raw());
}

template <class T>
const T* Tensor::data() const {
  check_access(dtype_of<T>);
  return static_cast<const T*>(raw());
}

template <class T>
Tensor Tensor::from(const std::vector<T>& values, const Shape& shape) {
  check(static_cast<int64_t>(values.size()) == shape.size(), "Tensor::from: ", values.size(),
        " values for shape ", shape);
  Tensor result = empty(shape, dtype_of<T>);
  for (size_t i = 0; i < values.size(); ++i) result.data<T>()[i] = values[i];
  return result;
}

}  // namespace fovea
#pragma GCC visibility pop
