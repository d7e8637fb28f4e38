#pragma once

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "temporary_folder.h"

namespace fovea {

/// What a program left behind. `code` is as a shell has it: 128 + signal where a signal ended the program.
struct Outcome {
  int code = 0;
  std::string out, err;
};

/// A program that runs, its output going to files in a folder of its own.
class Program {
 public:
  explicit Program(std::vector<std::string> words) {
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    const int flags = O_WRONLY | O_CREAT | O_TRUNC;
    posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, (folder_ / "out").c_str(), flags, 0600);
    posix_spawn_file_actions_addopen(&files, STDERR_FILENO, (folder_ / "err").c_str(), flags, 0600);
    // What is ignored where the tests run must not be ignored in the program, too.
    sigset_t all;
    sigfillset(&all);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
    const int failure = posix_spawnp(&process_, arguments[0], &files, &attributes, arguments.data(), environ);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
    REQUIRE(failure == 0);
  }
  ~Program() {
    if (is_running_) {
      ::kill(process_, SIGKILL);
      wait();
    }
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  std::string err() const { return file_bytes(folder_ / "err"); }
  void kill(int signal) const { REQUIRE(::kill(process_, signal) == 0); }

  /// Returns once `condition` holds; the test fails if it still does not after a minute.
  void wait_until(const std::function<bool()>& condition) const {
    for (int i = 0; i < 30000 && !condition(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(2));
    INFO(err());
    REQUIRE(condition());
  }

  Outcome wait() {
    int status = 0;
    waitpid(process_, &status, 0);
    is_running_ = false;
    const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return {code, file_bytes(folder_ / "out"), err()};
  }

 private:
  TemporaryFolder folder_;
  pid_t process_ = 0;
  bool is_running_ = true;
};

/// The path of the program that runs, which a test runs once more, or beside which there are others.
inline std::string this_program() {
  return std::filesystem::read_symlink("/proc/self/exe").string();
}

inline Outcome run_program(std::vector<std::string> words) {
  return Program(std::move(words)).wait();
}

}  // namespace fovea
