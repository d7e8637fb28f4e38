#include "signals.h"

#include <unistd.h>
#include <csignal>
#include <string_view>

#include "fovea/core/check.h"

namespace fovea::cli {
namespace {

volatile std::sig_atomic_t received = 0;

void on_signal(int signal) {
  if (received != 0) _exit(128 + signal);
  received = signal;
  constexpr std::string_view kMessage = "\nStopping; once more to stop at once, without saving.\n";
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, kMessage.data(), kMessage.size());
}

}  // namespace

void handle_signals() {
  struct sigaction action = {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

int stop_signal() {
  return received;
}

void throw_if_stopped(const char* doing) {
  if (should_stop()) throw Error(str("stopped by a signal while ", doing), stop_exit_code());
}

}  // namespace fovea::cli
