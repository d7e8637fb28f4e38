// Files that are known by their checksum, and the trainer on files that are not.
#include "known_files.h"

#include <catch2/catch.hpp>
#include <filesystem>

#include "digest.h"
#include "fovea/data/cifar.h"
#include "gzipped.h"
#include "trainer_program.h"

using namespace fovea;
using Catch::Contains;

namespace {

// SHA-256 of "abc" is the example of FIPS 180-2, its MD5 that of RFC 1321.
const std::vector<KnownDataset> kTable = {
    {"letters",
     {{"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
      {"nothing", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}}},
    {"letters",
     {{"abc.pickle", "900150983cd24fb0d6963f7d28e17f72"},
      {"nothing.pickle", "d41d8cd98f00b204e9800998ecf8427e"}}},
    {"others", {{"abc", "0000000000000000000000000000000000000000000000000000000000000000"}}}};

}  // namespace

TEST_CASE("known_files: the authors' files, plain or packed, are official") {
  const TemporaryFolder folder;
  write_file(folder / "nothing", "");
  write_file(folder / GENERATE("abc", "abc.gz"), "");
  const bool is_packed = std::filesystem::exists(folder / "abc.gz");
  write_file(folder / (is_packed ? "abc.gz" : "abc"), is_packed ? gzipped("abc") : "abc");
  const FileCheck files = check_files("letters", folder / "", kTable);
  CHECK(files.is_official);
  CHECK(files.unknown.empty());
  CHECK_FALSE(check_files("letters", folder / "", kTable, [] { return true; }).is_official);
}

TEST_CASE("known_files: another form of the same dataset has checksums of its own") {
  const TemporaryFolder folder;
  write_file(folder / "nothing", "");  // of the other form, which is not whole
  write_file(folder / "abc.pickle", "abc");
  write_file(folder / "nothing.pickle", "");
  CHECK(check_files("letters", folder / "", kTable).is_official);
  write_file(folder / "nothing.pickle", "abc");
  CHECK_THAT(message_of<DataError>([&] { check_files("letters", folder / "", kTable); }),
             Contains("this is the authors' abc.pickle (MD5 90015098"));
}

TEST_CASE("known_files: what is not the authors' is said, what is another file of theirs is refused") {
  const TemporaryFolder folder;
  write_file(folder / "abc", "abd");
  CHECK_FALSE(check_files("letters", folder / "", kTable).is_official);  // one is missing
  write_file(folder / "nothing", "");
  const FileCheck files = check_files("letters", folder / "", kTable);
  CHECK_FALSE(files.is_official);
  CHECK(files.unknown == std::vector<std::string>{(folder / "") + "abc"});
  write_file(folder / "abc", "");
  const std::string message = message_of<DataError>([&] { check_files("letters", folder / "", kTable); });
  CHECK_THAT(message, Contains("letters: ") &&
                          Contains("/abc: this is the authors' nothing (SHA-256 e3b0c442") &&
                          Contains("expected abc (ba7816bf"));
  const FileCheck unknown = check_files("letters of no table", folder / "", kTable);
  CHECK((!unknown.is_official && unknown.unknown.empty()));
}

TEST_CASE("known_files: the table has every file that the formats name") {
  const auto names_of = [](const KnownDataset& known) {
    std::vector<std::string> names;
    for (const KnownFile& file : known.files) names.push_back(file.name);
    return names;
  };
  const auto joined = [](std::vector<std::string> names, const std::vector<std::string>& more,
                         const std::vector<std::string>& last = {}) {
    names.insert(names.end(), more.begin(), more.end());
    names.insert(names.end(), last.begin(), last.end());
    return names;
  };
  const CifarFormat ten = cifar10_format(), hundred = cifar100_format();
  const std::vector<KnownDataset>& known = known_datasets();
  REQUIRE(known.size() == 4);
  CHECK(known[0].dataset == "cifar10");
  CHECK(names_of(known[0]) == joined(ten.train_files, ten.test_files));
  CHECK(known[1].dataset == "cifar10");
  CHECK(names_of(known[1]) == joined(ten.python.train_files, ten.python.test_files, {ten.python.names_file}));
  CHECK(known[2].dataset == "cifar100");
  CHECK(names_of(known[2]) ==
        joined(hundred.python.train_files, hundred.python.test_files, {hundred.python.names_file}));
  CHECK(known[3].dataset == "fashion-mnist");
  CHECK(known[3].files.size() == 4);
  for (const KnownDataset& form : known) {
    for (const KnownFile& file : form.files) {
      CHECK_NOTHROW(digest_kind(file.digest));
      CHECK(file.digest.find_first_not_of("0123456789abcdef") == std::string::npos);
    }
  }
}

TEST_CASE("known_files: the trainer takes no zeros for CIFAR-10, and no training file twice without a word") {
  const TemporaryFolder folder;
  const CifarFormat format = cifar10_format();
  constexpr int64_t kRow = 3073, kRows = 10000;
  // Files of zeros, which take no room on the disk.
  for (const std::string& name : format.train_files) {
    write_file(folder / name, "");
    std::filesystem::resize_file(folder / name, kRows * kRow);
  }
  std::filesystem::copy_file(folder / "data_batch_1.bin", folder / "test_batch.bin");
  const Words words = {"train", "--data", folder / "",   "--limit",     "32", "--test-limit",
                       "32",    "--t",    "1",           "--max-steps", "1",  "--batch-size",
                       "8",     "--out",  folder / "run"};
  check_failure(words, 3, "all 50000 images have the label 0 (0), expected images of 10 classes");
  CHECK_FALSE(std::filesystem::exists(folder / "run"));

  // Images that differ, one training file of which is there twice, and the test file as another one.
  std::string rows(kRows * kRow, '\0');
  const auto write_rows = [&](const std::string& name, uint32_t first) {
    for (int64_t row = 0; row < kRows; ++row) {
      const uint32_t number = first + static_cast<uint32_t>(row);
      rows[static_cast<size_t>(row * kRow)] = static_cast<char>(row % 10);
      for (int byte = 0; byte < 4; ++byte) {
        rows[static_cast<size_t>(row * kRow + 1 + byte)] = static_cast<char>(number >> (8 * byte));
      }
    }
    write_file(folder / name, rows);
  };
  for (uint32_t i = 0; i < 5; ++i) write_rows(format.train_files[i], i * 10000);
  write_rows("test_batch.bin", 40000);
  check_failure(words, 3, "test images: 10000 of 10000 are training images as well");
  write_rows("test_batch.bin", 50000);
  write_rows("data_batch_5.bin", 0);
  const Outcome outcome = trainer(words);
  INFO(outcome.err);
  CHECK(outcome.code == 0);
  CHECK_THAT(outcome.err,
             Contains("data_batch_1.bin and 5 more are not the files that the authors of cifar10") &&
                 Contains("training images: 10000 of 50000 images are the same as an earlier one"));
}

TEST_CASE("known_files: the datasets command says where each dataset is, or what to do") {
  const TemporaryFolder home;
  const ScopedVariable home_variable("HOME", (home / "").c_str());
  const ScopedVariable cache("XDG_CACHE_HOME", nullptr), data("FOVEA_DATA", nullptr);
  check_failure({"datasets", "cifar10"}, 3, "cifar10 not found");
  write_file(home / ".keras/datasets/cifar-10-batches-py/test_batch", "");
  CHECK(trainer({"datasets", "cifar10"}).out == home / ".keras/datasets/cifar-10-batches-py\n");
  const Outcome all = trainer({"datasets"});
  CHECK(all.code == 0);
  CHECK_THAT(all.out, Contains("cifar10        " + (home / ".keras")) &&
                          Contains("cifar100       not here: cifar_trainer fetch cifar100") &&
                          Contains("synthetic      drawn"));
  check_failure({"datasets", "imagenet"}, 2, "there is no dataset \"imagenet\"");
}
