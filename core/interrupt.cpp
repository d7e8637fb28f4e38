#include "fovea/core/interrupt.h"

#include <utility>

namespace fovea {
namespace {

thread_local const std::function<bool()>* question = nullptr;

}  // namespace

InterruptScope::InterruptScope(const std::function<bool()>& should_interrupt)
    : before_(std::exchange(question, &should_interrupt)) {}

InterruptScope::~InterruptScope() {
  question = before_;
}

void check_interrupt() {
  if (question != nullptr && *question && (*question)()) throw Interrupted();
}

}  // namespace fovea
