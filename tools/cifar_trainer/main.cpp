#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>
#include <system_error>

#include "commands.h"
#include "folder_lock.h"
#include "fovea/core/allocator.h"
#include "fovea/core/check.h"
#include "fovea/core/printable.h"
#include "output.h"
#include "signals.h"

namespace {

int run(int argc, char** argv) {
  using namespace fovea::cli;
  const auto arguments = parse_command_line(argc, argv);
  if (!arguments) return 0;
  const std::string& command = arguments->command;
  handle_signals(/*saves=*/command == "train" || command == "reproduce");
  if (command == "train") return arguments->seeds > 1 ? train_seeds(*arguments) : train(*arguments);
  if (command == "reproduce") return reproduce(*arguments);
  if (command == "evaluate") return evaluate(*arguments);
  if (command == "export") return arguments->is_onnx ? export_onnx(*arguments) : export_weights(*arguments);
  if (command == "import") return import_weights(*arguments);
  if (command == "predict") return predict(*arguments);
  if (command == "attend") return attend(*arguments);
  if (command == "report") return report(*arguments);
  if (command == "info") return info(*arguments);
  if (command == "datasets") return datasets(*arguments);
  if (command == "fetch") return fetch_datasets(*arguments);
  return devices();
}

// Whether `operator new` has failed. Some libraries make another error of that, or none.
std::atomic<bool> memory_is_out{false};

// Whether or not the message can be shown, the exit code is the error's.
int fail(const char* message, int exit_code) {
  using namespace fovea::cli;
  show("cifar_trainer: ");
  if (memory_is_out && exit_code != 4) {
    show("out of memory: ");
    exit_code = 4;
  }
  show(message);
  show("\n");
  return finish_output(exit_code);
}

[[noreturn]] void end_without_handler();

// Before all other objects of the program.
struct Handlers {
  Handlers() { std::set_new_handler(note_lack); }
  static void note_lack() {
    memory_is_out = true;
    throw std::bad_alloc();
  }
  const std::terminate_handler terminate_before = std::set_terminate(end_without_handler);
};
[[gnu::init_priority(101)]] const Handlers handlers;

// Where no handler can get it, before main or in a destructor, a lack of memory still has its exit code.
[[noreturn]] void end_without_handler() {
  try {
    if (const std::exception_ptr error = std::current_exception()) std::rethrow_exception(error);
    if (memory_is_out) throw std::bad_alloc();  // in a function that must not throw
  } catch (const std::bad_alloc&) {
    // Nothing that might be locked.
    fovea::cli::FolderLock::remove_file();
    constexpr char kMessage[] = "cifar_trainer: out of memory\n";
    [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, kMessage, sizeof kMessage - 1);
    _exit(4);
  } catch (...) {
  }
  handlers.terminate_before();  // says what it was
  std::abort();
}

// Tells that there is no memory for something that is no tensor, whose own error says more. Needs no memory.
int fail_without_memory() {
  const fovea::MemoryStats memory = fovea::memory_stats();
  rlimit limit{};
  const bool is_limited = getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
  char message[300], limited[100] = "";
  if (is_limited) {
    std::snprintf(limited, sizeof limited, ", and no more than %llu of address space may be (ulimit -v)",
                  static_cast<unsigned long long>(limit.rlim_cur));
  }
  std::snprintf(
      message, sizeof message,
      "out of memory: %lld bytes of tensors are in use, %lld cached, at most %lld of the process were in "
      "memory at once%s; use a smaller --batch-size",
      static_cast<long long>(memory.in_use), static_cast<long long>(memory.cached),
      static_cast<long long>(fovea::peak_memory_bytes(fovea::Device::cpu())), limited);
  return fail(message, 4);
}

// Whether main has nothing left to do but to return.
bool is_over = false;

// libgomp ends the program itself, with exit code 1, where it has no memory for what it keeps of a thread;
// its line on standard error says so.
void end_by_library() {
  if (is_over) return;
  fovea::cli::FolderLock::remove_file();
  _exit(4);
}

int run_main(int argc, char** argv) {
  try {
    return fovea::cli::finish_output(run(argc, argv));
  } catch (const fovea::Error& error) {
    return fail(error.what(), error.exit_code());
  } catch (const std::bad_alloc&) {
    return fail_without_memory();
  } catch (const std::system_error& error) {
    if (error.code() == std::errc::not_enough_memory) return fail_without_memory();
    return fail(error.what(), 1);
  } catch (const std::exception& error) {
    return fail(fovea::printable(error.what()).c_str(), 1);
  }
}

}  // namespace

int main(int argc, char** argv) {
  fovea::cli::prepare_output();
  std::atexit(end_by_library);
  const int exit_code = run_main(argc, argv);
  is_over = true;
  return exit_code;
}
