#pragma once

namespace fovea {

/// The locks of the whole program, in the order in which they are taken: one that may be taken while another
/// is held stands after it.
enum class ForkOrder { conv_plans, tensor_forms, profile, cuda_memory, cpu_memory };

/// A lock that every `fork` takes before, and gives back after, in both processes: so a child never finds it
/// held by a thread that it does not have, nor what it guards half changed. Of static storage, made when the
/// program starts.
class ForkLock {
 public:
  using Function = void (*)();
  ForkLock(ForkOrder order, Function lock, Function unlock);
  ForkLock(const ForkLock&) = delete;
  ForkLock& operator=(const ForkLock&) = delete;

 private:
  static void lock_all();
  static void unlock_all();

  ForkOrder order_;
  Function lock_, unlock_;
  ForkLock* next_ = nullptr;
  ForkLock* previous_ = nullptr;
};

}  // namespace fovea
