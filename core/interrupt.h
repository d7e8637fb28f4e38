#pragma once

#include <functional>

#include "fovea/core/check.h"

namespace fovea {

/// What ends a forward or backward pass between two operations, see InterruptScope.
struct Interrupted : Error {
  Interrupted() : Error("interrupted between two operations") {}
};

/// While one lives, `should_interrupt` is asked between the operations of forward and backward passes on this
/// thread, and where it says yes the pass ends with Interrupted. The innermost counts. For what takes too
/// long to be waited for; who catches it undoes what the pass has changed. It is called often, and must do
/// nothing but answer; an empty one is never asked.
class InterruptScope {
 public:
  explicit InterruptScope(const std::function<bool()>& should_interrupt);
  ~InterruptScope();
  InterruptScope(const InterruptScope&) = delete;
  InterruptScope& operator=(const InterruptScope&) = delete;

 private:
  const std::function<bool()>* before_;
};

/// Called between operations: throws Interrupted if the scope of this thread wants that.
void check_interrupt();

}  // namespace fovea
