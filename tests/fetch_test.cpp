// Downloading, checking and unpacking an archive, from a server that may misbehave.
#include <sys/stat.h>

#include <algorithm>

#include "fetch_fixture.h"

using namespace fovea;
using Catch::Contains;

TEST_CASE("fetch: the official archives") {
  for (const char* dataset : {"cifar10", "cifar100"}) {
    const std::vector<Archive> archives = official_archives(dataset);
    REQUIRE(archives.size() == 2);
    for (const Archive& archive : archives) {
      INFO(archive.file);
      CHECK(archive.format.name == dataset);
      CHECK(archive.file.ends_with(archive.is_python ? "-python.tar.gz" : "-binary.tar.gz"));
      CHECK(archive.bytes > 168000000);
      CHECK(archive.digest.size() == (archive.is_python ? 32 : 64));
      CHECK(archive.addresses.size() >= 2);
      for (const std::string& address : archive.addresses) {
        CHECK((address.starts_with("https://") && address.ends_with("/")));
      }
    }
  }
  const Archive python = official_archives("cifar10")[1];
  CHECK(python.members().size() == 7);
  CHECK(python.members()[0].path == "cifar-10-batches-py/data_batch_1");
  CHECK(python.members()[6].path == "cifar-10-batches-py/batches.meta");
  CHECK_THAT(message_of<UsageError>([] { official_archives("fashion-mnist"); }),
             Contains("dataset-fashion-mnist"));
  CHECK_THROWS_AS(official_archives("imagenet"), UsageError);
}

TEST_CASE("fetch: downloads, checks, unpacks, and does nothing the second time") {
  FetchFixture fixture;
  int64_t done = 0, total = 0;
  fixture.request.progress = [&](const FetchProgress& progress) {
    CHECK(progress.bytes >= done);
    CHECK(progress.url == fixture.server.url() + "small.tar.gz");
    done = progress.bytes;
    total = progress.total;
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
  FetchFixture fixture;
  const bool is_size_known = GENERATE(true, false);
  if (!is_size_known) fixture.request.archives[0].bytes = 0;
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
  FetchFixture fixture;
  bool is_stopping = false;
  fixture.request.progress = [&](const FetchProgress& progress) { is_stopping = progress.bytes > 0; };
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
  FetchFixture fixture;
  const bool is_size_known = GENERATE(true, false);
  if (!is_size_known) fixture.request.archives[0].bytes = 0;
  write_file(fixture.part, fixture.bytes);
  fetch(fixture.request);
  fixture.check_complete();
  CHECK(fixture.server.sent() == 0);
  CHECK(fixture.server.requests().size() == (is_size_known ? 0 : 1));
}

TEST_CASE("fetch: starts again where the server knows no ranges, or the part is too long") {
  FetchFixture fixture;
  const bool is_too_long = GENERATE(true, false);
  write_file(fixture.part, is_too_long ? fixture.bytes + "x" : std::string(1000, 'x'));
  fixture.server.knows_ranges = false;
  fetch(fixture.request);
  fixture.check_complete();
  CHECK(fixture.server.sent() == std::ssize(fixture.bytes));
}

TEST_CASE("fetch: a wrong checksum names both and removes the file") {
  FetchFixture fixture;
  const std::string found = fixture.request.archives[0].digest;
  fixture.request.archives[0].digest = std::string(64, '0');
  CHECK_THAT(message_of<DataError>([&] { fetch(fixture.request); }),
             Contains(found) && Contains("expected " + std::string(64, '0')) && Contains("removed"));
  CHECK_FALSE(std::filesystem::exists(fixture.part));
  CHECK_FALSE(std::filesystem::exists(fixture.target));
}

TEST_CASE("fetch: damage in what was kept is found, and everything asked for again") {
  FetchFixture fixture;
  write_file(fixture.part, std::string(1000, 'x'));
  CHECK(fetch(fixture.request) == fixture.target);
  fixture.check_complete();
  CHECK(fixture.server.requests() ==
        std::vector<std::string>{"/files/small.tar.gz bytes=1000-", "/files/small.tar.gz "});
}

TEST_CASE("fetch: an answer from another place than was asked for is not appended") {
  FetchFixture fixture;
  write_file(fixture.part, fixture.bytes.substr(0, 5000));
  fixture.server.range_error = -5000;
  CHECK_THAT(message_of<DataError>([&] { fetch(fixture.request); }),
             Contains("sends from byte 0, asked for from byte 5000 on"));
  CHECK(file_bytes(fixture.part) == fixture.bytes.substr(0, 5000));
}

TEST_CASE("fetch: what a fetch that was killed has left of a dataset that is whole goes away") {
  FetchFixture fixture;
  fetch(fixture.request);
  write_file(fixture.part, fixture.bytes);
  CHECK(fetch(fixture.request) == fixture.target);
  fixture.check_complete();
  CHECK(fixture.server.requests().size() == 1);
}

TEST_CASE("fetch: refused connections and HTTP errors are errors, and keep what is there") {
  FetchFixture fixture;
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
    fixture.request.archives[0].addresses = {"file:///etc/"};
    CHECK_THAT(message_of<DataError>([&] { fetch(fixture.request); }), Contains("file:///etc/"));
  }
  CHECK(file_bytes(fixture.part) == fixture.bytes.substr(0, 5000));
  CHECK_FALSE(std::filesystem::exists(fixture.target));
}

TEST_CASE("fetch: a connection that ends early without having told the length") {
  FetchFixture fixture;
  fixture.server.tells_length = false;
  fixture.server.cut_after = 3000;
  CHECK_THAT(message_of<DataError>([&] { fetch(fixture.request); }),
             Contains("3000 bytes, expected " + std::to_string(fixture.bytes.size())));
  fixture.server.cut_after = -1;
  fetch(fixture.request);
  fixture.check_complete();
}

TEST_CASE("fetch: a server that sends more than the archive is cut off") {
  FetchFixture fixture;
  fixture.request.archives[0].bytes = 20000;
  fixture.server.tells_length = GENERATE(true, false);
  CHECK_THAT(message_of<DataError>([&] { fetch(fixture.request); }), Contains("more than the 20000 bytes"));
}

TEST_CASE("fetch: an archive of other contents is an error and leaves no folder") {
  FetchFixture fixture;
  fixture.request.archives[0].format.train_rows = 41;
  CHECK_THAT(message_of<DataError>([&] { fetch(fixture.request); }),
             Contains("data_batch_1.bin: expected 125993") && Contains("found 122920"));
  CHECK_FALSE(std::filesystem::exists(fixture.target));
  CHECK_FALSE(std::filesystem::exists(fixture.target + ".unpacking"));
}

TEST_CASE("fetch: completes a folder that lacks files and leaves what else is in it") {
  FetchFixture fixture;
  write_file(fixture.target + "/notes.txt", "mine");
  write_file(fixture.target + "/test_batch.bin", "short");
  write_file(fixture.target + ".unpacking/data_batch_1.bin", "left by a run that was killed");
  fetch(fixture.request);
  fixture.check_complete();
  CHECK(file_bytes(fixture.target + "/notes.txt") == "mine");
}

TEST_CASE("fetch: a folder that cannot be made is an error") {
  FetchFixture fixture;
  write_file(fixture.cache / "cache", "a file");
  CHECK_THAT(message_of<DataError>([&] { fetch(fixture.request); }),
             Contains("fetch: ") && Contains("cache"));
}

TEST_CASE("fetch: what stands in the place of the .part is replaced, never written to") {
  FetchFixture fixture;
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
