#include "fovea/core/atomic_file.h"

#include <signal.h>
#include <sys/wait.h>

#include <catch2/catch.hpp>

#include "file_calls.h"
#include "test_files.h"

namespace fovea {
namespace {

using Catch::Contains;
using Events = std::vector<std::string>;

/// What came of `write_whole` in a process of its own, which may take some seconds: "" or the error's
/// message.
std::string outcome_of_writing(const std::string& path, const std::string& text) {
  const TemporaryFolder folder;
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    signal(SIGALRM, SIG_DFL);
    alarm(20);
    try {
      write_whole(path, text);
    } catch (const CheckpointError& error) {
      write_bytes(folder / "message", error.what());
      _exit(1);
    }
    _exit(0);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  if (!WIFEXITED(status)) return "it never ended";
  return WEXITSTATUS(status) == 0 ? "" : file_bytes(folder / "message");
}

TEST_CASE("atomic_file: what stands in the place of the .part is replaced, never written to") {
  const TemporaryFolder folder;
  const std::string path = folder / "a", part = folder / "a.part", victim = folder / "victim";
  write_bytes(path, "old");
  write_bytes(victim, "precious");
  SECTION("a link to another file") {
    std::filesystem::create_symlink(victim, part);
  }
  SECTION("a second name of another file") {
    std::filesystem::create_hard_link(victim, part);
  }
  SECTION("a link to nothing") {
    std::filesystem::create_symlink(folder / "nothing", part);
  }
  SECTION("a link to a device") {
    std::filesystem::create_symlink("/dev/null", part);
  }
  SECTION("a pipe that nobody reads") {
    REQUIRE(mkfifo(part.c_str(), 0600) == 0);
  }
  SECTION("what a killed writer has left") {
    write_bytes(part, std::string(1000, 'x'));
  }
  CHECK(outcome_of_writing(path, "new") == "");
  CHECK(file_bytes(path) == "new");
  CHECK(std::filesystem::is_regular_file(std::filesystem::symlink_status(path)));
  CHECK(file_bytes(victim) == "precious");
  CHECK_FALSE(std::filesystem::exists(folder / "nothing"));
  CHECK_FALSE(std::filesystem::exists(std::filesystem::symlink_status(part)));
}

TEST_CASE("atomic_file: a .part that is a folder is an error, and stays") {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder / "a.part");
  CHECK_THAT(outcome_of_writing(folder / "a", "new"),
             Contains("a.part: cannot be created: Is a directory") && Contains("/a was not made; check"));
  CHECK(std::filesystem::is_directory(folder / "a.part"));
}

TEST_CASE("atomic_file: a .part that cannot be looked at is an error, and the old file stays") {
  const TemporaryFolder folder;
  write_bytes(folder / "a", "old");
  file_calls::stat_fails_for = ".part";
  const std::string message = outcome_of_writing(folder / "a", "new");
  file_calls::stat_fails_for = "";
  CHECK_THAT(message, Contains("a.part: cannot be looked at: Input/output error") &&
                          Contains("/a is as it was; check"));
  CHECK(file_bytes(folder / "a") == "old");
  CHECK_FALSE(std::filesystem::exists(folder / "a.part"));
}

TEST_CASE("atomic_file: the file is durable before it has its name, the name before commit returns") {
  const TemporaryFolder folder;
  file_calls::calls.clear();
  write_whole(folder / "a", "new");
  const std::string name = folder.path().filename().string();
  CHECK(file_calls::calls == Events{"sync a.part", "rename a.part a", "sync " + name});
}

TEST_CASE("atomic_file: what cannot be made durable is an error of the type that was asked for") {
  const TemporaryFolder folder;
  write_bytes(folder / "a", "old");
  const auto write = [&] { write_whole(folder / "a", "new", "run", throw_as<DataError>); };
  SECTION("the file") {
    file_calls::sync_fails_for = "a.part";
    CHECK_THAT(message_of<DataError>(write),
               Contains("run: ") && Contains("a.part: cannot be made durable: Input/output error"));
    CHECK(file_bytes(folder / "a") == "old");
  }
  SECTION("the folder") {
    file_calls::sync_fails_for = folder.path().filename().string();
    CHECK_THAT(message_of<DataError>(write), Contains("is written, but its folder cannot be made durable"));
    CHECK(file_bytes(folder / "a") == "new");
  }
  file_calls::sync_fails_for = "";
  CHECK_FALSE(std::filesystem::exists(folder / "a.part"));
}

TEST_CASE("atomic_file: only regular files are read") {
  const TemporaryFolder folder;
  REQUIRE(mkfifo((folder / "pipe").c_str(), 0600) == 0);
  for (const std::string& path : {folder / "pipe", std::string("/dev/zero"), folder.path().string()}) {
    CHECK_THAT(message_of<DataError>([&] { ReadableFile(path, "data", throw_as<DataError>); }),
               Contains("data: " + path + ": is not a regular file"));
  }
  write_bytes(folder / "a", "12345");
  const ReadableFile file(folder / "a");
  char bytes[3];
  file.read(1, bytes, 3);
  CHECK(std::string(bytes, 3) == "234");
  CHECK_THROWS_WITH(file.read(3, bytes, 3), Contains("offset 5: the file ends, 1 bytes more were wanted"));
}

}  // namespace
}  // namespace fovea
