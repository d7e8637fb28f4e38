#include "fiber.h"

#include <sys/mman.h>

#include <new>
#include <utility>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace fovea::emulator {
namespace {

constexpr size_t kStackBytes = 256 << 10;  // untouched pages cost nothing

thread_local Fiber* entering = nullptr;

#if defined(__SANITIZE_ADDRESS__)
/// A body that was given up has left its marks on the stack.
void forget_stack(const char* stack) {
  __asan_unpoison_memory_region(stack, kStackBytes);
}
void start_switch(void** fake_stack, const void* bottom, size_t size) {
  __sanitizer_start_switch_fiber(fake_stack, bottom, size);
}
void finish_switch(void* fake_stack, const void** bottom, size_t* size) {
  __sanitizer_finish_switch_fiber(fake_stack, bottom, size);
}
#else
void forget_stack(const char*) {}
void start_switch(void**, const void*, size_t) {}
void finish_switch(void*, const void**, size_t*) {}
#endif

#if defined(__x86_64__)
// Saves what the System V ABI asks a function to keep, and changes the stack. swapcontext would do, at the
// cost of two system calls for the signal mask each time: with 256 threads at each barrier that is all the
// time.
extern "C" void fovea_emulator_switch(void** save_stack, void* load_stack);
__asm__(R"(
.text
.globl fovea_emulator_switch
.type fovea_emulator_switch, @function
fovea_emulator_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size fovea_emulator_switch, .-fovea_emulator_switch
)");
#endif

}  // namespace

struct Fiber::Context {
  Context() {
    stack = static_cast<char*>(mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE,
                                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    if (stack == MAP_FAILED) throw std::bad_alloc();
  }
  ~Context() { munmap(stack, kStackBytes); }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  char* stack;
  const void* host_bottom = nullptr;  // for the address sanitizer
  size_t host_size = 0;
  void* host_fake_stack = nullptr;
  void* own_fake_stack = nullptr;
#if defined(__x86_64__)
  void* own_pointer = nullptr;
  void* host_pointer = nullptr;
#else
  ucontext_t own{};
  ucontext_t host{};
#endif
};

Fiber::Fiber() : context_(std::make_unique<Context>()) {}
Fiber::~Fiber() = default;

void Fiber::start(const std::function<void()>* body) {
  body_ = body;
  has_ended_ = false;
  failure_ = nullptr;
  context_->own_fake_stack = nullptr;
  forget_stack(context_->stack);
#if defined(__x86_64__)
  auto** top = reinterpret_cast<void**>(context_->stack + kStackBytes);
  *--top = nullptr;  // where enter would return to; and its frame is aligned as a call leaves it
  *--top = reinterpret_cast<void*>(&Fiber::enter);
  for (int i = 0; i < 6; ++i) *--top = nullptr;
  context_->own_pointer = top;
#else
  getcontext(&context_->own);
  context_->own.uc_stack.ss_sp = context_->stack;
  context_->own.uc_stack.ss_size = kStackBytes;
  makecontext(&context_->own, &Fiber::enter, 0);
#endif
}

void Fiber::resume() {
  entering = this;
  start_switch(&context_->host_fake_stack, context_->stack, kStackBytes);
#if defined(__x86_64__)
  fovea_emulator_switch(&context_->host_pointer, context_->own_pointer);
#else
  swapcontext(&context_->host, &context_->own);
#endif
  finish_switch(context_->host_fake_stack, nullptr, nullptr);
  if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
}

void Fiber::leave() {
  start_switch(&context_->own_fake_stack, context_->host_bottom, context_->host_size);
#if defined(__x86_64__)
  fovea_emulator_switch(&context_->own_pointer, context_->host_pointer);
#else
  swapcontext(&context_->own, &context_->host);
#endif
  finish_switch(context_->own_fake_stack, &context_->host_bottom, &context_->host_size);
}

void Fiber::enter() {
  entering->run();
}

void Fiber::run() {
  finish_switch(context_->own_fake_stack, &context_->host_bottom, &context_->host_size);
  try {
    (*body_)();
  } catch (...) {
    failure_ = std::current_exception();
  }
  has_ended_ = true;
  leave();
}

}  // namespace fovea::emulator
