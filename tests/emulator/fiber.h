#pragma once

#include <cstddef>
#include <exception>
#include <functional>
#include <memory>

namespace fovea::emulator {

/// A function on a stack of its own that can be left and entered again: a thread of a kernel.
class Fiber {
 public:
  Fiber();
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  /// Makes `body` what the next resume begins; a body that has not ended is forgotten.
  void start(const std::function<void()>* body);
  /// Runs until the body ends or calls leave. Throws what the body threw.
  void resume();
  /// From within the body: back to where resume was called.
  void leave();
  bool has_ended() const { return has_ended_; }

 private:
  struct Context;
  static void enter();
  void run();

  std::unique_ptr<Context> context_;
  const std::function<void()>* body_ = nullptr;
  bool has_ended_ = true;
  std::exception_ptr failure_;
};

}  // namespace fovea::emulator
