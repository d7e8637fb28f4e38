#pragma once

namespace fovea::cli {

/// From now on the first SIGINT or SIGTERM only asks to stop; a second one ends the program at once, with
/// exit code 128 + signal.
void handle_signals();
/// The signal that asked to stop; 0 if none did.
int stop_signal();
inline bool should_stop() {
  return stop_signal() != 0;
}
/// The exit code after a stop: 130 for SIGINT, 143 for SIGTERM.
inline int stop_exit_code() {
  return 128 + stop_signal();
}
/// Throws an Error with that exit code if a signal asked to stop while `doing` something.
void throw_if_stopped(const char* doing);

}  // namespace fovea::cli
