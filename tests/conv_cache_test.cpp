#include <algorithm>
#include <catch2/catch.hpp>
#include <iostream>
#include <sstream>

#include "fovea/kernels/cuda/conv/cache.h"
#include "test_files.h"

using namespace fovea;
using kernels::ConvPass;
using kernels::cuda::ConvCache;
using kernels::cuda::ConvChoice;
using kernels::cuda::ConvEngine;
using kernels::cuda::ConvKey;

namespace {

const ConvKey kProblem{{128, 32, 32, 3, 64, 3, 3, 1, 1}, ConvPass::forward, Dtype::bf16, false};
const ConvChoice kChoice{ConvEngine{62, {{2, 4}, {27, 8}}}, /*is_padded=*/true, 12.5};

ConvCache open_cache(const TemporaryFolder& folder, const std::string& library = "cuDNN 9.19.0",
                     const std::string& device = "NVIDIA H100 80GB HBM3") {
  return ConvCache(folder / "new", library, device);
}

}  // namespace

TEST_CASE("conv_cache: choices outlive the process that made them") {
  const TemporaryFolder folder;
  ConvKey other = kProblem;
  other.pass = ConvPass::backward_weight;
  CHECK_FALSE(open_cache(folder).find(kProblem).has_value());
  {
    ConvCache cache = open_cache(folder);
    cache.add(kProblem, kChoice);
    cache.add(other, ConvChoice{});
    CHECK(cache.find(kProblem) == kChoice);
  }
  CHECK(open_cache(folder).find(kProblem) == kChoice);
  CHECK(open_cache(folder).find(other) == ConvChoice{});
  ConvKey tf32 = kProblem;
  tf32.dtype = Dtype::f32;
  CHECK_FALSE(open_cache(folder).find(tf32).has_value());
  tf32.tf32 = true;
  CHECK_FALSE(open_cache(folder).find(tf32).has_value());
}

TEST_CASE("conv_cache: two processes keep each other's choices") {
  const TemporaryFolder folder;
  ConvKey other = kProblem;
  other.N = 64;
  ConvCache one = open_cache(folder), two = open_cache(folder);
  one.add(kProblem, kChoice);
  two.add(other, kChoice);
  CHECK(open_cache(folder).find(kProblem) == kChoice);
  CHECK(open_cache(folder).find(other) == kChoice);
}

TEST_CASE(
    "conv_cache: of two processes that choose for the same problem, the second takes the first's choice") {
  const TemporaryFolder folder;
  const ConvChoice second{ConvEngine{7, {}}, false, 12.0}, third{ConvEngine{8, {}}, false, 12.0};
  ConvCache one = open_cache(folder), two = open_cache(folder);
  CHECK(one.add(kProblem, kChoice) == kChoice);
  CHECK(two.add(kProblem, second) == kChoice);
  CHECK(two.find(kProblem) == kChoice);
  CHECK(open_cache(folder).find(kProblem) == kChoice);
  // What a process knows, and can no longer use, it replaces.
  CHECK(two.add(kProblem, third) == third);
  CHECK(open_cache(folder).find(kProblem) == third);
}

TEST_CASE("conv_cache: another device or version has choices of its own, whatever the file's name") {
  const TemporaryFolder folder;
  ConvCache cache = open_cache(folder);
  cache.add(kProblem, kChoice);
  for (const ConvCache& other :
       {open_cache(folder, "cuDNN 9.20.0"), open_cache(folder, "cuDNN 9.19.0", "NVIDIA H200")}) {
    CHECK_FALSE(other.find(kProblem).has_value());
    write_bytes(other.path(), file_bytes(cache.path()));
  }
  CHECK_FALSE(open_cache(folder, "cuDNN 9.20.0").find(kProblem).has_value());
  CHECK_FALSE(open_cache(folder, "cuDNN 9.19.0", "NVIDIA H200").find(kProblem).has_value());
}

TEST_CASE("conv_cache: a damaged file is as good as none, and is replaced") {
  const TemporaryFolder folder;
  ConvCache cache = open_cache(folder);
  cache.add(kProblem, kChoice);
  const std::string good = file_bytes(cache.path());
  std::vector<std::string> bad = {
      "", "{", "[]", "null", "{\"format\": 1}", std::string(100, '\0'), good.substr(0, good.size() / 2)};
  for (const char* part : {"62", "true", "12.5", "[\n     2,\n     4\n    ]", "\"format\": 1"}) {
    const size_t place = good.find(part);
    REQUIRE(place != std::string::npos);
    bad.push_back(std::string(good).replace(place, std::string(part).size(), "{}"));
  }
  for (const std::string& bytes : bad) {
    INFO(bytes);
    write_bytes(cache.path(), bytes);
    ConvCache again = open_cache(folder);
    CHECK_FALSE(again.find(kProblem).has_value());
    again.add(kProblem, kChoice);
    CHECK(open_cache(folder).find(kProblem) == kChoice);
  }
}

TEST_CASE("conv_cache: the numbers of a choice are whole, and of 64 bits") {
  const auto choice = [](const std::string& engine, const std::string& knobs) {
    return kernels::cuda::choice_from("{\"padded\":true,\"engine\":" + engine + ",\"knobs\":" + knobs + "}");
  };
  CHECK(choice("62", "[[2,4],[27,8]]") == ConvChoice{ConvEngine{62, {{2, 4}, {27, 8}}}, /*is_padded=*/true});
  CHECK(choice("-9223372036854775808", "[[9223372036854775807,0]]").has_value());
  for (const std::string number : {"2.5", "2.0", "1e120", "9223372036854775808", "18446744073709551615",
                                   "88888888888888888888888", "\"2\"", "true", "[]"}) {
    INFO(number);
    CHECK_FALSE(choice(number, "[]").has_value());
    CHECK_FALSE(choice("62", "[[" + number + ",0]]").has_value());
    CHECK_FALSE(choice("62", "[[0," + number + "]]").has_value());
  }
}

TEST_CASE("conv_cache: a folder that cannot be written is said once, and is no error") {
  const TemporaryFolder folder;
  write_bytes(folder / "file", "");
  const auto said_by = [](const std::string& place) {
    std::ostringstream said;
    std::streambuf* before = std::cerr.rdbuf(said.rdbuf());
    ConvCache cache(place, "cuDNN 9.19.0", "device");
    for (int i = 0; i < 2; ++i) cache.add(kProblem, kChoice);
    std::cerr.rdbuf(before);
    CHECK(cache.find(kProblem) == kChoice);
    return said.str();
  };
  const std::string said = said_by(folder / "file");
  CHECK(said.starts_with("fovea: the choice of convolution engines is not kept: "));
  CHECK(std::count(said.begin(), said.end(), '\n') == 1);
  CHECK(said_by("").empty());
}

TEST_CASE("conv_cache: where it is") {
  const ScopedVariable home("HOME", "/home/me"), xdg("XDG_CACHE_HOME", nullptr);
  {
    const ScopedVariable own("FOVEA_CACHE", nullptr);
    CHECK(kernels::cuda::cache_folder() == "/home/me/.cache/fovea");
    const ScopedVariable set("XDG_CACHE_HOME", "/cache");
    CHECK(kernels::cuda::cache_folder() == "/cache/fovea");
    const ScopedVariable relative("XDG_CACHE_HOME", "not/absolute");
    CHECK(kernels::cuda::cache_folder() == "/home/me/.cache/fovea");
  }
  const ScopedVariable own("FOVEA_CACHE", "/mine");
  CHECK(kernels::cuda::cache_folder() == "/mine");
  const std::string path = ConvCache("/mine", "cuDNN 9.19.0", "a/b c").path();
  CHECK(path == "/mine/conv-cuDNN_9.19.0-a_b_c.json");
}
