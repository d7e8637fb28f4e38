#include "unpack.h"

#include <sys/stat.h>

#include <algorithm>
#include <catch2/catch.hpp>

#include "file_calls.h"
#include "gzipped.h"
#include "tar_file.h"
#include "test_files.h"

using namespace fovea;
using Catch::Contains;

namespace {

const std::vector<ArchiveMember> kMembers{{"set/a.bin", "a.bin", 700, 700}, {"set/names", "names", 1, 100}};

std::string good_tar() {
  return tar_entry("set/a.bin", std::string(700, 'a')) + tar_entry("set/names", "x\ny\n") + tar_end();
}

struct Fixture {
  TemporaryFolder folder;
  std::string archive = folder / "archive.tar.gz", out = folder / "out";

  Fixture() { std::filesystem::create_directory(out); }
  void unpack(const std::string& bytes) {
    write_file(archive, bytes);
    unpack_tar_gz(archive, kMembers, out, {});
  }
  std::string message(const std::string& bytes) {
    return message_of<DataError>([&] { unpack(bytes); });
  }
  /// Names of all that was written.
  std::vector<std::string> written() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder.path())) {
      if (entry.is_regular_file() && entry.path() != archive)
        names.push_back(entry.path().filename().string());
    }
    std::sort(names.begin(), names.end());
    return names;
  }
};

}  // namespace

TEST_CASE("unpack: writes the members and nothing else") {
  Fixture fixture;
  fixture.unpack(gzipped(
      tar_entry("set/", "", '5') + tar_entry("../evil", "x") + tar_entry("/evil", "x") +
      tar_entry("set/../../evil", "x") + tar_entry("set/a.bin", "", '2') +
      tar_entry("././@LongLink", "set/other", 'L') + tar_entry("set/more", std::string(2000, 'x')) +
      tar_entry("./set/a.bin", std::string(700, 'a')) + tar_entry("set/names", "x\ny\n", '\0') + tar_end()));
  CHECK(fixture.written() == std::vector<std::string>{"a.bin", "names"});
  CHECK(file_bytes(fixture.out + "/a.bin") == std::string(700, 'a'));
  CHECK(file_bytes(fixture.out + "/names") == "x\ny\n");
}

TEST_CASE("unpack: an archive without its end mark is taken") {
  Fixture fixture;
  fixture.unpack(gzipped(good_tar().substr(0, 512 + 1024 + 1024)));
  CHECK(fixture.written().size() == 2);
}

TEST_CASE("unpack: cut short at any place of the tar file or of the gzip file is an error") {
  Fixture fixture;
  const std::string tar = good_tar();
  for (const size_t size :
       {0U, 1U, 100U, 511U, 512U, 513U, 1211U, 1212U, 1535U, 1536U, 2047U, 2048U, 2049U, 2559U}) {
    CHECK_THAT(fixture.message(gzipped(tar.substr(0, static_cast<size_t>(size)))),
               Contains("archive.tar.gz"));
  }
  const std::string packed = gzipped(tar);
  for (size_t size = 0; size < packed.size() / 2; ++size) {
    CHECK_THROWS_AS(fixture.unpack(packed.substr(0, size)), DataError);
  }
}

TEST_CASE("unpack: a damaged byte anywhere in a header never crashes, and most are found") {
  Fixture fixture;
  const std::string tar = good_tar();
  int errors = 0;
  for (size_t at = 0; at < 512; ++at) {
    std::string damaged = tar;
    damaged[at] = static_cast<char>(~damaged[at]);
    try {
      fixture.unpack(gzipped(damaged));
    } catch (const DataError&) {
      ++errors;
    }
  }
  CHECK(errors >= 500);  // the last bytes of the checksum's field mean nothing
}

TEST_CASE("unpack: members missing, doubled or of another size are errors") {
  Fixture fixture;
  const std::string a = tar_entry("set/a.bin", std::string(700, 'a')), names = tar_entry("set/names", "x");
  CHECK_THAT(fixture.message(gzipped(a + tar_end())),
             Contains("set/names: expected in the archive, not found"));
  CHECK_THAT(fixture.message(gzipped(a + a + names + tar_end())),
             Contains("set/a.bin: found a second time") && Contains("byte offset 2048"));
  CHECK_THAT(fixture.message(gzipped(tar_entry("set/a.bin", std::string(701, 'a')) + names)),
             Contains("expected 700 to 700 bytes, found 701") && Contains("byte offset 512"));
  CHECK_THAT(fixture.message(gzipped(a + tar_entry("set/names", std::string(101, 'x')))),
             Contains("found 101"));
}

TEST_CASE("unpack: sizes that are no numbers, or not those of the member, are errors") {
  Fixture fixture;
  for (const std::string& size :
       {std::string("99999999999"), std::string("-0000000001"), std::string(11, ' '),
        std::string("77777777777"), std::string("\x80\0\0\0\0\0\0\0\xff\xff\xff", 11)}) {
    std::string header = tar_entry("set/a.bin", "");
    header.replace(124, 11, size);
    CHECK_THAT(fixture.message(gzipped(with_checksum(header) + tar_end())),
               Contains("archive.tar.gz: at byte offset") && Contains("fetch it again"));
    CHECK(fixture.written().empty());
  }
}

TEST_CASE("unpack: an archive that inflates without end is given up, and a stop is heeded") {
  Fixture fixture;
  const std::string part = gzipped(tar_entry("set/other", std::string(size_t{1} << 19, '\0')));
  // Gzip files one after the other are one. The limit: 1 MiB, 800 bytes of members and two headers.
  CHECK_THAT(fixture.message(part + part + part), Contains("expected at most 1050400 bytes"));

  write_file(fixture.archive, gzipped(good_tar()));
  CHECK_THAT(message_of<DataError>(
                 [&] { unpack_tar_gz(fixture.archive, kMembers, fixture.out, [] { return true; }); }),
             Contains("stopped"));
}

TEST_CASE("unpack: every file is durable before it has its name") {
  Fixture fixture;
  file_calls::calls.clear();
  fixture.unpack(gzipped(good_tar()));
  CHECK(file_calls::calls == std::vector<std::string>{"sync a.bin.part", "rename a.bin.part a.bin",
                                                      "sync out", "sync names.part",
                                                      "rename names.part names", "sync out"});
}

TEST_CASE("unpack: a pipe or a device is refused, and not waited for") {
  Fixture fixture;
  REQUIRE(mkfifo(fixture.archive.c_str(), 0600) == 0);
  for (const std::string& path : {fixture.archive, std::string("/dev/zero")}) {
    CHECK_THAT(message_of<DataError>([&] { unpack_tar_gz(path, kMembers, fixture.out, {}); }),
               Contains(path + ": cannot be opened"));
  }
}

TEST_CASE("unpack: an entry with holes is refused, whatever its size") {
  Fixture fixture;
  // GNU tar's old form of a sparse file: at offset 386 the places of its parts, at 483 its size.
  std::string header = tar_entry("set/a.bin", "", 'S');
  const auto put = [&](size_t offset, const std::string& text) { header.replace(offset, text.size(), text); };
  put(257, std::string("ustar  \0", 8));
  put(124, "00000000144");  // 100 bytes
  put(386, "00000001130");  // at 600
  put(398, "00000000144");
  put(483, "00000001274");  // of 700
  const std::string tar =
      with_checksum(header) + std::string(512, 'a') + tar_entry("set/names", "x") + tar_end();
  CHECK_THAT(fixture.message(gzipped(tar)), Contains("set/a.bin: expected its bytes without holes"));
  CHECK(fixture.written().empty());
}
