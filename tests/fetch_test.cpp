#include "fetch.h"

#include <openssl/evp.h>
#include <sys/stat.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdio>

#include "gzipped.h"
#include "http_server.h"
#include "tar_file.h"
#include "test_files.h"

using namespace fovea;
using Catch::Matchers::Contains;

namespace {

std::string sha256(const std::string& text) {
  unsigned char digest[32];
  REQUIRE(EVP_Digest(text.data(), text.size(), digest, nullptr, EVP_sha256(), nullptr) == 1);
  std::string hex;
  for (const unsigned char byte : digest) {
    char digits[3];
    std::snprintf(digits, sizeof(digits), "%02x", byte);
    hex += digits;
  }
  return hex;
}

/// CIFAR-10 with forty rows in each file, of bytes that do not compress.
CifarFormat small_format() {
  CifarFormat format = cifar10_format();
  format.train_rows = format.test_rows = 40;
  return format;
}

std::string rows(uint32_t seed) {
  std::string text(40 * 3073, '\0');
  for (char& c : text) c = static_cast<char>((seed = seed * 1664525u + 1013904223u) >> 24);
  for (size_t row = 0; row < 40; ++row) text[row * 3073] = static_cast<char>(row % 10);
  return text;
}

std::string archive_bytes() {
  const CifarFormat format = small_format();
  std::string tar =
      tar_entry(format.folder + "/", "", '5') + tar_entry(format.folder + "/readme.html", "<p>read</p>");
  for (uint32_t i = 0; i < 5; ++i) tar += tar_entry(format.folder + "/" + format.train_files[i], rows(i));
  tar += tar_entry(format.folder + "/test_batch.bin", rows(5));
  tar += tar_entry(format.folder + "/batches.meta.txt", "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n\n");
  return gzipped(tar + tar_end());
}

/// A server that has the archive, a folder to fetch it into, and the request for it.
struct Fixture {
  std::string bytes = archive_bytes();
  HttpServer server{bytes};
  TemporaryFolder cache;
  ScopedVariable no_proxy{"no_proxy", "*"};
  FetchRequest request{.archive = {small_format(), "small.tar.gz", sha256(bytes), std::ssize(bytes)},
                       .folder = cache / "cache",
                       .base_url = server.url()};
  std::string part = cache / "cache/small.tar.gz.part";
  std::string target = cache / "cache/cifar-10-batches-bin";

  void check_complete() const {
    const ImageSet train = load_cifar(small_format(), target, Split::train);
    CHECK(train.size() == 200);
    CHECK(train.class_names[2] == "c");
    CHECK(file_bytes(target + "/data_batch_3.bin") == rows(2));
    CHECK(file_bytes(target + "/test_batch.bin") == rows(5));
    CHECK_FALSE(std::filesystem::exists(part));
    CHECK_FALSE(std::filesystem::exists(target + ".unpacking"));
    CHECK(std::distance(std::filesystem::directory_iterator(cache / "cache"), {}) == 1);
  }
};

}  // namespace

TEST_CASE("fetch: the official archives") {
  CHECK(official_archive("cifar10").bytes == 170052171);
  CHECK(official_archive("cifar10").file == "cifar-10-binary.tar.gz");
  CHECK(official_archive("cifar100").file == "cifar-100-binary.tar.gz");
  CHECK(official_archive("cifar100").sha256.size() == 64);
  CHECK_THAT(message_of<UsageError>([] { official_archive("fashion-mnist"); }),
             Contains("dataset-fashion-mnist"));
  CHECK_THROWS_AS(official_archive("imagenet"), UsageError);
}

TEST_CASE("fetch: downloads, checks, unpacks, and does nothing the second time") {
  Fixture fixture;
  int64_t done = 0, total = 0;
  fixture.request.progress = [&](int64_t bytes, int64_t all) {
    CHECK(bytes >= done);
    done = bytes;
    total = std::max(total, all);
  };
  CHECK(fetch(fixture.request) == fixture.target);
  fixture.check_complete();
  CHECK(done == std::ssize(fixture.bytes));
  CHECK(total == std::ssize(fixture.bytes));
  CHECK(fixture.server.requests() == std::vector<std::string>{"/files/small.tar.gz "});
  CHECK_FALSE(std::filesystem::exists(fixture.target + "/readme.html"));

  CHECK(fetch(fixture.request) == fixture.target);
  CHECK(fixture.server.requests().size() == 1);
}

TEST_CASE("fetch: after an interruption asks for the rest only") {
  Fixture fixture;
  const bool is_size_known = GENERATE(true, false);
  if (!is_size_known) fixture.request.archive.bytes = 0;
  fixture.server.cut_after = 100000;
  CHECK_THAT(message_of<DataError>([&] { fetch(fixture.request); }),
             Contains("small.tar.gz") && Contains("100000 bytes") && Contains("fetch again"));
  CHECK(file_bytes(fixture.part) == fixture.bytes.substr(0, 100000));
  CHECK_FALSE(std::filesystem::exists(fixture.target));

  fixture.server.cut_after = 50000;
  CHECK_THROWS_AS(fetch(fixture.request), DataError);
  fixture.server.cut_after = -1;
  fetch(fixture.request);
  fixture.check_complete();
  CHECK(fixture.server.requests() == std::vector<std::string>{"/files/small.tar.gz ",
                                                              "/files/small.tar.gz bytes=100000-",
                                                              "/files/small.tar.gz bytes=150000-"});
  CHECK(fixture.server.sent() == std::ssize(fixture.bytes));
}

TEST_CASE("fetch: stopped by the caller, and continued") {
  Fixture fixture;
  bool is_stopping = false;
  fixture.request.progress = [&](int64_t done, int64_t) { is_stopping = done > 0; };
  fixture.request.should_stop = [&] { return is_stopping; };
  CHECK_THAT(message_of<DataError>([&] { fetch(fixture.request); }),
             Contains("stopped") && Contains("goes on"));
  const std::string kept = file_bytes(fixture.part);
  CHECK_FALSE(kept.empty());
  CHECK(fixture.bytes.starts_with(kept));
  CHECK_FALSE(std::filesystem::exists(fixture.target));
  fixture.request.progress = {};
  fixture.request.should_stop = {};
  fetch(fixture.request);
  fixture.check_complete();
}

TEST_CASE("fetch: a complete download that was not unpacked needs no more bytes") {
  Fixture fixture;
  const bool is_size_known = GENERATE(true, false);
  if (!is_size_known) fixture.request.archive.bytes = 0;
  write_file(fixture.part, fixture.bytes);
  fetch(fixture.request);
  fixture.check_complete();
  CHECK(fixture.server.sent() == 0);
  CHECK(fixture.server.requests().size() == (is_size_known ? 0 : 1));
}

TEST_CASE("fetch: starts again where the server knows no ranges, or the part is too long") {
  Fixture fixture;
  const bool is_too_long = GENERATE(true, false);
  write_file(fixture.part, is_too_long ? fixture.bytes + "x" : std::string(1000, 'x'));
  fixture.server.knows_ranges = false;
  fetch(fixture.request);
  fixture.check_complete();
  CHECK(fixture.server.sent() == std::ssize(fixture.bytes));
}

TEST_CASE("fetch: a wrong checksum names both and removes the file") {
  Fixture fixture;
  const std::string found = fixture.request.archive.sha256;
  fixture.request.archive.sha256 = std::string(64, '0');
  CHECK_THAT(message_of<DataError>([&] { fetch(fixture.request); }),
             Contains(found) && Contains("expected " + std::string(64, '0')) && Contains("removed"));
  CHECK_FALSE(std::filesystem::exists(fixture.part));
  CHECK_FALSE(std::filesystem::exists(fixture.target));
}

TEST_CASE("fetch: damage in what was kept is found, and the next run starts anew") {
  Fixture fixture;
  write_file(fixture.part, std::string(1000, 'x'));
  CHECK_THROWS_AS(fetch(fixture.request), DataError);
  CHECK_FALSE(std::filesystem::exists(fixture.part));
  fetch(fixture.request);
  fixture.check_complete();
}

TEST_CASE("fetch: refused connections and HTTP errors are errors, and keep what is there") {
  Fixture fixture;
  write_file(fixture.part, fixture.bytes.substr(0, 5000));
  SECTION("refused") {
    fixture.server.stop();
    CHECK_THAT(message_of<DataError>([&] { fetch(fixture.request); }),
               Contains(fixture.server.url()) && Contains("5000 bytes are in"));
  }
  SECTION("404") {
    fixture.server.status = 404;
    CHECK_THAT(message_of<DataError>([&] { fetch(fixture.request); }),
               Contains("404") && Contains("address"));
  }
  SECTION("500") {
    fixture.server.status = 500;
    CHECK_THAT(message_of<DataError>([&] { fetch(fixture.request); }), Contains("500"));
  }
  SECTION("another protocol") {
    fixture.request.base_url = "file:///etc/";
    CHECK_THAT(message_of<DataError>([&] { fetch(fixture.request); }), Contains("file:///etc/"));
  }
  CHECK(file_bytes(fixture.part) == fixture.bytes.substr(0, 5000));
  CHECK_FALSE(std::filesystem::exists(fixture.target));
}

TEST_CASE("fetch: a connection that ends early without having told the length") {
  Fixture fixture;
  fixture.server.tells_length = false;
  fixture.server.cut_after = 3000;
  CHECK_THAT(message_of<DataError>([&] { fetch(fixture.request); }),
             Contains("3000 bytes, expected " + std::to_string(fixture.bytes.size())));
  fixture.server.cut_after = -1;
  fetch(fixture.request);
  fixture.check_complete();
}

TEST_CASE("fetch: a server that sends more than the archive is cut off") {
  Fixture fixture;
  fixture.request.archive.bytes = 20000;
  CHECK_THAT(message_of<DataError>([&] { fetch(fixture.request); }), Contains("more than the 20000 bytes"));
}

TEST_CASE("fetch: an archive of other contents is an error and leaves no folder") {
  Fixture fixture;
  fixture.request.archive.format.train_rows = 41;
  CHECK_THAT(message_of<DataError>([&] { fetch(fixture.request); }),
             Contains("data_batch_1.bin: expected 125993") && Contains("found 122920"));
  CHECK_FALSE(std::filesystem::exists(fixture.target));
  CHECK_FALSE(std::filesystem::exists(fixture.target + ".unpacking"));
}

TEST_CASE("fetch: completes a folder that lacks files and leaves what else is in it") {
  Fixture fixture;
  write_file(fixture.target + "/notes.txt", "mine");
  write_file(fixture.target + "/test_batch.bin", "short");
  write_file(fixture.target + ".unpacking/data_batch_1.bin", "left by a run that was killed");
  fetch(fixture.request);
  fixture.check_complete();
  CHECK(file_bytes(fixture.target + "/notes.txt") == "mine");
}

TEST_CASE("fetch: a folder that cannot be made is an error") {
  Fixture fixture;
  write_file(fixture.cache / "cache", "a file");
  CHECK_THAT(message_of<DataError>([&] { fetch(fixture.request); }),
             Contains("fetch: ") && Contains("cache"));
}

TEST_CASE("fetch: what stands in the place of the .part is replaced, never written to") {
  Fixture fixture;
  std::filesystem::create_directories(fixture.cache / "cache");
  const std::string victim = fixture.cache / "victim";
  write_file(victim, "precious");
  const std::string kind = GENERATE("link", "second name", "pipe");
  INFO(kind);
  if (kind == "link") std::filesystem::create_symlink(victim, fixture.part);
  if (kind == "second name") std::filesystem::create_hard_link(victim, fixture.part);
  if (kind == "pipe") REQUIRE(mkfifo(fixture.part.c_str(), 0600) == 0);
  CHECK(fetch(fixture.request) == fixture.target);
  fixture.check_complete();
  CHECK(file_bytes(victim) == "precious");
}
