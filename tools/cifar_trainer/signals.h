#pragma once

#include <csignal>
#include <vector>

namespace fovea::cli {

/// From now on the first SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2 or SIGXCPU only asks to stop; a SIGINT or
/// SIGTERM after it ends the program at once, with exit code 128 + signal. A signal that was ignored before
/// stays ignored. `saves`: the first one is followed by a save, of which the message then speaks.
void handle_signals(bool saves);
/// From now on the first signal is answered without a word: another process tells of it.
void stop_silently();
/// While one lives, a library that is loaded may change what these signals do: its end undoes that.
class SignalsKept {
 public:
  SignalsKept();
  ~SignalsKept();
  SignalsKept(const SignalsKept&) = delete;
  SignalsKept& operator=(const SignalsKept&) = delete;

 private:
  std::vector<struct sigaction> actions_;
};
/// The signal that asked to stop; 0 if none did.
int stop_signal();
inline bool should_stop() {
  return stop_signal() != 0;
}
/// The exit code after a stop: 128 + signal, which is 130 for SIGINT and 143 for SIGTERM; that of SIGTERM
/// where the signal came to another rank.
inline int stop_exit_code() {
  return 128 + (should_stop() ? stop_signal() : SIGTERM);
}
/// Throws an Error with that exit code if a signal asked to stop while `doing` something.
void throw_if_stopped(const char* doing);

}  // namespace fovea::cli
