#include "output.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "fovea/core/printable.h"

namespace fovea::cli {
namespace {

bool is_quiet = false;
int output_error = 0;  // of the first write to standard output that failed

void note_error() noexcept {
  if (output_error == 0) output_error = errno != 0 ? errno : EIO;
}

}  // namespace

void prepare_output() {
  for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(descriptor, F_GETFD) != -1 || errno != EBADF) continue;
    // The lowest number that is free is this one. Opened for reading, even standard output: a result that
    // goes nowhere is an error.
    if (open("/dev/null", O_RDONLY) < 0) open("/", O_RDONLY);
  }
  struct sigaction action = {};
  action.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &action, nullptr);
  sigaction(SIGXFSZ, &action, nullptr);
}

QuietScope::QuietScope() {
  is_quiet = true;
}
QuietScope::~QuietScope() {
  is_quiet = false;
}

void show(std::string_view text) noexcept {
  if (is_quiet) return;
  [[maybe_unused]] const size_t written = std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

std::string on_one_line(std::string_view text) {
  std::string line;
  for (const char c : printable(text)) {
    if (c == '\n') {
      line += "\\x0a";
    } else if (c == '\t') {
      line += "\\x09";
    } else {
      line += c;
    }
  }
  return line;
}

bool output_is_terminal() noexcept {
  return isatty(STDOUT_FILENO) == 1;
}

void write_output(std::string_view text) noexcept {
  if (output_error != 0) return;
  errno = 0;
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size()) note_error();
}

int finish_output(int exit_code) noexcept {
  errno = 0;
  if (std::fflush(stdout) != 0) note_error();
  if (output_error == 0 || output_error == EPIPE) return exit_code;
  show("cifar_trainer: cannot write to standard output: ");
  show(std::strerror(output_error));
  show("; send it to another file, or free some space\n");
  return exit_code == 0 ? 1 : exit_code;
}

}  // namespace fovea::cli
