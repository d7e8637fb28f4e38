#include "fovea/core/fork.h"

#include <pthread.h>

namespace fovea {
namespace {

// Linked in their order; there is none yet when the first of them is made.
constinit ForkLock* first = nullptr;
constinit ForkLock* last = nullptr;

}  // namespace

ForkLock::ForkLock(ForkOrder order, Function lock, Function unlock)
    : order_(order), lock_(lock), unlock_(unlock) {
  if (first == nullptr) pthread_atfork(lock_all, unlock_all, unlock_all);
  next_ = first;
  while (next_ != nullptr && next_->order_ <= order_) {
    previous_ = next_;
    next_ = next_->next_;
  }
  (previous_ == nullptr ? first : previous_->next_) = this;
  (next_ == nullptr ? last : next_->previous_) = this;
}

void ForkLock::lock_all() {
  for (const ForkLock* lock = first; lock != nullptr; lock = lock->next_) lock->lock_();
}

void ForkLock::unlock_all() {
  for (const ForkLock* lock = last; lock != nullptr; lock = lock->previous_) lock->unlock_();
}

}  // namespace fovea
