#include "fovea/core/available_memory.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "test_files.h"

using namespace fovea;

namespace {

/// A file system that shows a process how much memory there is.
struct Root {
  void put(const std::string& path, const std::string& text) const { write_file(folder.path() / path, text); }
  std::optional<int64_t> available() const { return available_memory(folder.path().string()); }

  TemporaryFolder folder;
};

}  // namespace

TEST_CASE("available_memory: what the kernel says, and nothing where nothing can be read") {
  const Root root;
  CHECK(root.available() == std::nullopt);
  root.put("proc/meminfo", "MemTotal:  9000 kB\nMemFree: 10 kB\nMemAvailable:    5000 kB\nCached: 7 kB\n");
  CHECK(root.available() == 5000 * 1024);
  root.put("proc/meminfo", "MemTotal:  9000 kB\nMemAvailable: many kB\n");
  CHECK(root.available() == std::nullopt);
  CHECK(available_memory().value_or(1) > 0);  // of this machine
}

TEST_CASE("available_memory: what the groups of version 2 leave, files that can be dropped included") {
  const Root root;
  root.put("proc/meminfo", "MemAvailable: 5000 kB\n");
  root.put("proc/self/cgroup", "0::/batch/job 7\n");
  root.put("sys/fs/cgroup/batch/memory.max", "4000000\n");
  root.put("sys/fs/cgroup/batch/memory.current", "1000000\n");
  CHECK(root.available() == 3000000);
  root.put("sys/fs/cgroup/batch/memory.stat", "anon 5\ninactive_file 600000\nactive_file 7\n");
  CHECK(root.available() == 3600000);
  root.put("sys/fs/cgroup/batch/job 7/memory.max", "max\n");
  root.put("sys/fs/cgroup/batch/job 7/memory.current", "900000\n");
  CHECK(root.available() == 3600000);
  root.put("sys/fs/cgroup/batch/job 7/memory.max", "800000\n");
  CHECK(root.available() == 0);  // more is used than may be
}

TEST_CASE("available_memory: version 1, whose limit may be none") {
  const Root root;
  root.put("proc/meminfo", "MemAvailable: 5000 kB\n");
  root.put("proc/self/cgroup", "9:memory:/docker/1\n4:cpu,cpuacct:/docker/1\n");
  const std::string group = "sys/fs/cgroup/memory/";
  root.put(group + "memory.limit_in_bytes", "9223372036854771712\n");
  root.put(group + "memory.usage_in_bytes", "100\n");
  CHECK(root.available() == 5000 * 1024);
  root.put(group + "memory.limit_in_bytes", "2000\n");
  root.put(group + "memory.stat", "inactive_file 5\ntotal_inactive_file 50\n");
  CHECK(root.available() == 1950);
}

TEST_CASE("available_memory: a limit of the address space, of which some is taken") {
  const Root root;
  root.put("proc/self/statm", "100 5 5 5 0 5 0\n");
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {  // whose limit does not stay
    const rlimit limit{uint64_t{1} << 46, uint64_t{1} << 46};
    if (setrlimit(RLIMIT_AS, &limit) != 0) _exit(1);
    const int64_t wanted = (int64_t{1} << 46) - 100 * sysconf(_SC_PAGESIZE);
    _exit(root.available() == wanted ? 0 : 2);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WEXITSTATUS(status) == 0);
}
