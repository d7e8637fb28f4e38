#include "signals.h"

#include <unistd.h>
#include <cerrno>
#include <csignal>
#include <string_view>

#include "fovea/core/check.h"

namespace fovea::cli {
namespace {

volatile std::sig_atomic_t received = 0;
std::string_view message;  // settled before the first signal

// What people and batch systems send before the end.
constexpr int kStopSignals[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGXCPU};

void on_signal(int signal) {
  if (received != 0) {
    // The others come twice without meaning more: SIGXCPU every second, SIGHUP from a terminal and from its
    // shell, or right after a SIGTERM.
    if (signal == SIGINT || signal == SIGTERM) _exit(128 + signal);
    return;
  }
  received = signal;
  const int error = errno;  // of the call that the signal came into
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, message.data(), message.size());
  errno = error;
}

}  // namespace

void handle_signals(bool saves) {
  message = saves ? "\nStopping; once more to stop at once, without saving.\n"
                  : "\nStopping; once more to stop at once.\n";
  struct sigaction action = {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  for (const int signal : kStopSignals) {
    struct sigaction before = {};
    // Whoever had it ignored, as nohup does, wants it ignored.
    if (sigaction(signal, nullptr, &before) == 0 && before.sa_handler == SIG_IGN) continue;
    sigaction(signal, &action, nullptr);
  }
}

void stop_silently() {
  message = "";
}

SignalsKept::SignalsKept() {
  for (const int signal : kStopSignals) sigaction(signal, nullptr, &actions_.emplace_back());
}

SignalsKept::~SignalsKept() {
  size_t i = 0;
  for (const int signal : kStopSignals) sigaction(signal, &actions_[i++], nullptr);
}

int stop_signal() {
  return received;
}

void throw_if_stopped(const char* doing) {
  if (should_stop()) throw Error(str("stopped by a signal while ", doing), stop_exit_code());
}

}  // namespace fovea::cli
