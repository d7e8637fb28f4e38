// Archives that several addresses have: which is taken, and when a download is given up.
#include "download.h"
#include "fetch_fixture.h"

using namespace fovea;
using Catch::Contains;

namespace {

/// A second address, which has the same file.
struct TwoAddresses : FetchFixture {
  HttpServer mirror{bytes};
  std::vector<std::string> told;
  TwoAddresses() {
    request.archives[0].addresses.push_back(mirror.url());
    request.tell = [this](const std::string& text) { told.push_back(text); };
  }
};

}  // namespace

TEST_CASE("fetch_addresses: an address that fails, or has another file, is left for the next") {
  TwoAddresses fixture;
  const std::string kind = GENERATE("refused", "404", "a page", "cut off", "damaged");
  INFO(kind);
  HttpServer page{"<html>please log in</html>"}, damaged{std::string(fixture.bytes.size(), 'x')};
  if (kind == "refused") fixture.server.stop();
  if (kind == "404") fixture.server.status = 404;
  if (kind == "a page") fixture.request.archives[0].addresses[0] = page.url();
  if (kind == "cut off") fixture.server.cut_after = 1000;
  if (kind == "damaged") fixture.request.archives[0].addresses[0] = damaged.url();
  CHECK(fetch(fixture.request) == fixture.target);
  fixture.check_complete();
  REQUIRE(fixture.told.size() == 1);
  CHECK_THAT(fixture.told[0], Contains(fixture.request.archives[0].addresses[0]));
  const std::string rest = kind == "cut off" ? "bytes=1000-" : "";  // the page has left nothing
  CHECK(fixture.mirror.requests() == std::vector<std::string>{"/files/small.tar.gz " + rest});
}

TEST_CASE("fetch_addresses: a page in the place of the archive spoils nothing that is here") {
  TwoAddresses fixture;
  HttpServer page{"<html>please log in</html>"};
  page.knows_ranges = false;
  page.tells_length = GENERATE(true, false);
  write_file(fixture.part, fixture.bytes.substr(0, 5000));
  SECTION("alone") {
    fixture.request.archives[0].addresses = {page.url()};
    CHECK_THAT(message_of<DataError>([&] { fetch(fixture.request); }), Contains("it is another file"));
    CHECK(file_bytes(fixture.part) == fixture.bytes.substr(0, 5000));
  }
  SECTION("before an address that has it") {
    fixture.request.archives[0].addresses[0] = page.url();
    CHECK(fetch(fixture.request) == fixture.target);
    fixture.check_complete();
    CHECK(fixture.mirror.requests() == std::vector<std::string>{"/files/small.tar.gz bytes=5000-"});
  }
}

TEST_CASE("fetch_addresses: where no address will do, each one's reason is said") {
  TwoAddresses fixture;
  fixture.server.status = 404;
  fixture.mirror.status = 503;
  const std::string all = message_of<DataError>([&] { fetch(fixture.request); });
  CHECK_THAT(all, Contains("none of 2 addresses has the archive; see to the network") && !Contains("404"));
  REQUIRE(fixture.told.size() == 2);
  CHECK_THAT(fixture.told[0], Contains(fixture.server.url()) && Contains("404"));
  CHECK_THAT(fixture.told[1], Contains(fixture.mirror.url()) && Contains("503"));
  fixture.request.tell = {};
  CHECK_THAT(message_of<DataError>([&] { fetch(fixture.request); }), Contains("404") && Contains("503"));
  CHECK(std::filesystem::is_empty(fixture.cache / "cache"));
}

TEST_CASE(
    "fetch_addresses: an address that is slow is left for the next, and the fastest is taken where all are") {
  TwoAddresses fixture;
  const bool is_mirror_slow = GENERATE(false, true);
  // Nothing comes from the first address, from the other one all, or some of it at first. By the clock nine
  // seconds pass whenever there is nothing more to come.
  constexpr int64_t kSome = 100000;
  fixture.server.stalls_after = 0;
  if (is_mirror_slow) fixture.mirror.stalls_after = kSome;
  double now = 0, step = 0;
  fixture.request.clock = [&] { return now += step; };
  fixture.request.progress = [&](const FetchProgress& progress) {
    const bool is_mirror = progress.url.starts_with(fixture.mirror.url());
    const bool is_first = fixture.mirror.requests().size() < 2;
    step = !is_mirror || (is_mirror_slow && is_first && progress.bytes == kSome) ? 9 : 0;
  };
  CHECK(fetch(fixture.request) == fixture.target);
  fixture.check_complete();
  CHECK_THAT(fixture.told.at(0), Contains(fixture.server.url()) && Contains(": 0 kB/s, which is slow"));
  CHECK(fixture.told.size() == (is_mirror_slow ? 2 : 1));
  CHECK(fixture.server.requests().size() <= 1);
  CHECK(fixture.mirror.requests().size() == (is_mirror_slow ? 2 : 1));
  if (is_mirror_slow) CHECK(fixture.mirror.requests()[1] == "/files/small.tar.gz bytes=100000-");
}

TEST_CASE("fetch_addresses: gives up when it is plain that the time will not do, and keeps what has come") {
  FetchFixture fixture;
  fixture.server.cut_after = 1000;
  CHECK_THROWS_AS(fetch(fixture.request), DataError);
  double now = 0;
  fixture.request.clock = [&] { return now += 100; };
  fixture.request.max_seconds = 50;
  CHECK_THAT(message_of<TookTooLong>([&] { fetch(fixture.request); }),
             Contains("no more than 50 s") && Contains("goes on from there"));
  CHECK(fixture.bytes.starts_with(file_bytes(fixture.part)));
  CHECK(file_bytes(fixture.part).size() >= 1000);
  fixture.server.cut_after = -1;
  fixture.request.max_seconds = 1e9;
  CHECK(fetch(fixture.request) == fixture.target);
  fixture.check_complete();
}

TEST_CASE("fetch_addresses: the version for Python will do, and what was begun is what is gone on with") {
  FetchFixture fixture;
  CifarFormat format = small_format();
  std::string tar;
  for (const std::string& name : format.python.train_files) {
    tar += tar_entry(format.python.folder + "/" + name, std::string(40 * 3072 + 500, 'p'));
  }
  tar += tar_entry(format.python.folder + "/test_batch", std::string(40 * 3072 + 500, 'p'));
  tar += tar_entry(format.python.folder + "/batches.meta", "names");
  const std::string bytes = gzipped(tar + tar_end());
  HttpServer server{bytes};
  fixture.request.archives.push_back({.format = format,
                                      .is_python = true,
                                      .file = "small-python.tar.gz",
                                      .digest = sha256(bytes),
                                      .bytes = std::ssize(bytes),
                                      .addresses = {server.url()}});
  SECTION("where the binary version cannot be had") {
    fixture.server.status = 404;
  }
  SECTION("where some of it is here") {
    write_file(fixture.cache / "cache/small-python.tar.gz.part", bytes.substr(0, 100));
  }
  const std::string target = fixture.cache / "cache/cifar-10-batches-py";
  CHECK(fetch(fixture.request) == target);
  CHECK(file_bytes(target + "/batches.meta") == "names");
  CHECK(std::distance(std::filesystem::directory_iterator(fixture.cache / "cache"), {}) == 1);
  const size_t requests = server.requests().size();
  CHECK(fetch(fixture.request) == target);  // it is there
  CHECK(server.requests().size() == requests);
}

TEST_CASE("fetch_addresses: another process that downloads the same is waited for") {
  FetchFixture fixture;
  std::filesystem::create_directories(fixture.cache / "cache");
  auto other = std::make_unique<PartFile>(fixture.part);
  double now = 0;
  fixture.request.clock = [&] { return now += 10; };
  fixture.request.max_seconds = 15;
  CHECK_THAT(message_of<TookTooLong>([&] { fetch(fixture.request); }),
             Contains("small.tar.gz.part") && Contains("another fetch") && Contains("15 s"));
  CHECK(fixture.server.requests().empty());
  fixture.request.max_seconds = 0;
  fixture.request.clock = {};
  std::vector<std::string> told;
  fixture.request.tell = [&](const std::string& text) {
    told.push_back(text);
    other.reset();
  };
  CHECK(fetch(fixture.request) == fixture.target);
  fixture.check_complete();
  REQUIRE(told.size() == 1);
  CHECK_THAT(told[0], Contains("waiting for its end"));
}

TEST_CASE("fetch_addresses: a rate is that of the last ten seconds") {
  TransferRate rate;
  CHECK(rate.bytes_per_second() == 0);
  rate.add(5, 1000);
  CHECK(rate.bytes_per_second() == 0);
  rate.add(5, 1500);
  CHECK(rate.bytes_per_second() == 0);
  rate.add(6, 3000);
  CHECK(rate.bytes_per_second() == Approx(2000));
  for (int second = 7; second <= 40; ++second) rate.add(second, 3000 + (second - 6) * 100);
  CHECK(rate.bytes_per_second() == Approx(100));
  CHECK(rate.span() == Approx(10));
  rate.add(60, 6400);  // nothing came for long
  CHECK(rate.bytes_per_second() == Approx(0));
}
