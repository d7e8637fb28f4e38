#include "fovea/core/cpu_quota.h"

#include <catch2/catch.hpp>
#include <filesystem>

#include "temporary_folder.h"

using namespace fovea;

namespace {

/// A file system that shows a process its control groups.
struct Root {
  void put(const std::string& path, const std::string& text) const {
    const std::filesystem::path file = folder / path;
    std::filesystem::create_directories(file.parent_path());
    write_bytes(file.string(), text);
  }
  std::optional<double> quota() const { return cpu_quota(folder.path().string()); }

  TemporaryFolder folder;
};

}  // namespace

TEST_CASE("cpu_quota: nothing where there is no control group, no limit, or no number") {
  CHECK(Root().quota() == std::nullopt);
  for (const std::string text : {"max 100000\n", "", "100000", "-1 100000", "100000 0", "nan nan", "x y"}) {
    INFO(text);
    const Root root;
    root.put("proc/self/cgroup", "0::/\n");
    root.put("sys/fs/cgroup/cpu.max", text);
    CHECK(root.quota() == std::nullopt);
  }
  const Root root;
  root.put("proc/self/cgroup", "this is no line of it\n\n::\n0\n");
  root.put("sys/fs/cgroup/cpu.max", "max 100000\n");
  CHECK(root.quota() == std::nullopt);
}

TEST_CASE("cpu_quota: version 2, in a container and in a group, whose parents count too") {
  const Root root;
  root.put("proc/self/cgroup", "0::/batch/job 7/step\n");
  root.put("sys/fs/cgroup/cpu.max", "400000 100000\n");  // the container's own mount
  CHECK(root.quota() == 4.0);
  root.put("sys/fs/cgroup/batch/job 7/cpu.max", "150000 100000\n");
  CHECK(root.quota() == 1.5);
  root.put("sys/fs/cgroup/batch/job 7/step/cpu.max", "max 100000\n");
  CHECK(root.quota() == 1.5);
  root.put("sys/fs/cgroup/batch/job 7/step/cpu.max", "50000 200000\n");
  CHECK(root.quota() == 0.25);
  root.put("sys/fs/cgroup/batch/other/cpu.max", "1000 100000\n");
  CHECK(root.quota() == 0.25);
}

TEST_CASE("cpu_quota: version 1, by the name of its mount, in a container the host's path is not there") {
  for (const std::string mount : {"cpu,cpuacct", "cpu"}) {
    const Root root;
    root.put("proc/self/cgroup",
             "9:memory:/docker/1\n4:cpu,cpuacct:/docker/1\n1:name=systemd:/docker/1\n0::/\n");
    root.put("sys/fs/cgroup/" + mount + "/cpu.cfs_quota_us", "250000\n");
    CHECK(root.quota() == std::nullopt);
    root.put("sys/fs/cgroup/" + mount + "/cpu.cfs_period_us", "100000\n");
    CHECK(root.quota() == 2.5);
    root.put("sys/fs/cgroup/" + mount + "/docker/1/cpu.cfs_quota_us", "-1\n");
    root.put("sys/fs/cgroup/" + mount + "/docker/1/cpu.cfs_period_us", "100000\n");
    CHECK(root.quota() == 2.5);
    root.put("sys/fs/cgroup/" + mount + "/docker/1/cpu.cfs_quota_us", "100000\n");
    CHECK(root.quota() == 1.0);
  }
}

TEST_CASE("cpu_quota: threads are as many as processors, or as the quota, a part of one counting as one") {
  CHECK(threads_within(8, std::nullopt) == 8);
  CHECK(threads_within(8, 100.0) == 8);
  CHECK(threads_within(8, 8.0) == 8);
  CHECK(threads_within(8, 3.0) == 3);
  CHECK(threads_within(8, 1.5) == 2);
  CHECK(threads_within(8, 0.1) == 1);
  CHECK(threads_within(0, std::nullopt) == 1);
}
