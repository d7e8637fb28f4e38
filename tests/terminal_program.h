#pragma once

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

namespace fovea {

/// A program that runs with some of its standard streams on a terminal of 80 columns; what else it writes
/// goes nowhere.
class TerminalProgram {
 public:
  /// `is_its_own`: the terminal is that of the program's session, so that it gets SIGHUP when that closes.
  TerminalProgram(std::vector<std::string> words, const std::vector<int>& streams, bool is_its_own = false) {
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    terminal_ = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    REQUIRE((terminal_ >= 0 && grantpt(terminal_) == 0 && unlockpt(terminal_) == 0));
    const winsize size{.ws_row = 24, .ws_col = 80, .ws_xpixel = 0, .ws_ypixel = 0};
    REQUIRE(ioctl(terminal_, TIOCSWINSZ, &size) == 0);
    const std::string name = ptsname(terminal_);
    process_ = fork();
    if (process_ == 0) {
      if (is_its_own) setsid();  // the terminal opened next is the session's
      const int own = open(name.c_str(), is_its_own ? O_RDWR : O_RDWR | O_NOCTTY);
      const int nowhere = open("/dev/null", O_WRONLY);
      for (const int stream : {STDOUT_FILENO, STDERR_FILENO}) dup2(nowhere, stream);
      for (const int stream : streams) dup2(own, stream);
      signal(SIGHUP, SIG_DFL);
      execv(arguments[0], arguments.data());
      _exit(127);
    }
    REQUIRE(process_ > 0);
  }
  ~TerminalProgram() { close_terminal(); }
  TerminalProgram(const TerminalProgram&) = delete;
  TerminalProgram& operator=(const TerminalProgram&) = delete;

  /// Everything that it writes to the terminal; it must end with exit code 0.
  std::string text() {
    std::string text;
    char bytes[4096];
    int status = 0;
    fcntl(terminal_, F_SETFL, O_NONBLOCK);
    // The end of the program is seen before its last bytes: they are read once more after it.
    for (bool has_ended = false;;) {
      const ssize_t count = read(terminal_, bytes, sizeof bytes);
      if (count > 0) {
        text.append(bytes, static_cast<size_t>(count));
      } else if (has_ended) {
        break;
      } else {
        has_ended = waitpid(process_, &status, WNOHANG) == process_;
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
      }
    }
    INFO(text);
    CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 0));
    return text;
  }

  void close_terminal() {
    if (terminal_ >= 0) close(terminal_);
    terminal_ = -1;
  }

  /// Its exit code; the test fails if a signal has ended it.
  int wait() const {
    int status = 0;
    REQUIRE(waitpid(process_, &status, 0) == process_);
    CHECK(WIFEXITED(status));
    return WEXITSTATUS(status);
  }

 private:
  int terminal_ = -1;
  pid_t process_ = 0;
};

}  // namespace fovea
