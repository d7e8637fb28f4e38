#include "fovea/data/datasets.h"

#include <catch2/catch.hpp>

#include "test_files.h"

using namespace fovea;
using Catch::Contains;

namespace {

/// An environment in which nothing of this machine is found.
struct CleanEnvironment {
  TemporaryFolder home;
  ScopedVariable home_variable{"HOME", home.path().string().c_str()};
  ScopedVariable cache{"XDG_CACHE_HOME", nullptr};
  ScopedVariable data{"FOVEA_DATA", nullptr};
};

}  // namespace

TEST_CASE("find_dataset: the folder, its child, FOVEA_DATA, the cache, in that order") {
  const CleanEnvironment environment;
  TemporaryFolder data, given;
  CHECK_THROWS_AS(find_dataset("cifar10", ""), DataError);

  const std::filesystem::path cached = environment.home / ".cache/fovea/cifar-10-batches-bin";
  write_file(cached / "test_batch.bin", "");
  CHECK(find_dataset("cifar10", "") == cached.string());

  const ScopedVariable variable("FOVEA_DATA", data.path().string().c_str());
  CHECK(find_dataset("cifar10", "") == cached.string());  // not in FOVEA_DATA, so further on
  write_file(data / "cifar-10-batches-bin/data_batch_1.bin", "");
  CHECK(find_dataset("cifar10", "") == data / "cifar-10-batches-bin");
  write_file(data / "data_batch_1.bin", "");
  CHECK(find_dataset("cifar10", "") == data.path().string());

  // Where a folder is given, only that one counts.
  CHECK_THAT(message_of<DataError>([&] { find_dataset("cifar10", given.path().string()); }),
             Contains(given.path().string()) && Contains(given / "cifar-10-batches-bin") &&
                 Contains("data_batch_1.bin") && Contains("cifar_trainer fetch") &&
                 !Contains(data.path().string()));
  write_file(given / "cifar-10-batches-bin/data_batch_2.bin", "");
  CHECK(find_dataset("cifar10", given.path().string()) == given / "cifar-10-batches-bin");
  write_file(given / "cifar-100-binary/train.bin", "");
  CHECK(find_dataset("cifar100", given.path().string()) == given / "cifar-100-binary");
  write_file(given / "fashion-mnist/t10k-images-idx3-ubyte", "");
  CHECK(find_dataset("fashion-mnist", given.path().string()) == given / "fashion-mnist");
  CHECK_THROWS_AS(find_dataset("cifar10", given / "missing"), DataError);
}

TEST_CASE("find_dataset: the version for Python, also where Keras keeps it") {
  const CleanEnvironment environment;
  TemporaryFolder given;
  for (const char* place : {"cifar-10-batches-py", "cifar-10-batches-py-target/cifar-10-batches-py"}) {
    const std::filesystem::path folder = std::filesystem::path(environment.home / ".keras/datasets") / place;
    CHECK_THROWS_AS(find_dataset("cifar10", ""), DataError);
    write_file(folder / "data_batch_1", "");
    CHECK(find_dataset("cifar10", "") == folder.string());
    std::filesystem::remove_all(folder);
  }
  // A folder of pictures may have the names of files.
  std::filesystem::create_directories(given / "train");
  CHECK_THROWS_AS(find_dataset("cifar100", given.path().string()), DataError);
  write_file(given / "cifar-100-python/train", "");
  CHECK(find_dataset("cifar100", given.path().string()) == given / "cifar-100-python");
}

TEST_CASE("find_dataset: says where it looked and what to do") {
  const CleanEnvironment environment;
  const ScopedVariable variable("FOVEA_DATA", "/nowhere/at/all");
  CHECK_THAT(message_of<DataError>([] { find_dataset("cifar100", ""); }),
             Contains("/nowhere/at/all/cifar-100-binary") && Contains(".cache/fovea/cifar-100-binary") &&
                 Contains("train.bin") && Contains("FOVEA_DATA"));
}

TEST_CASE("load_dataset: the first damaged file is named") {
  TemporaryFolder folder;
  write_file(folder / "data_batch_1.bin", "too short");
  CHECK_THAT(message_of<DataError>([&] { load_dataset("cifar10", folder.path().string(), 1); }),
             Contains(folder / "data_batch_1.bin") && Contains("found 9"));
  write_file(folder / "train.bin", "too short");
  CHECK_THAT(message_of<DataError>([&] { load_dataset("cifar100", folder.path().string(), 1); }),
             Contains("train.bin") && Contains("expected 153700000 bytes"));
  write_file(folder / "train-images-idx3-ubyte.gz", "not gzipped");
  CHECK_THAT(message_of<DataError>([&] { load_dataset("fashion-mnist", folder.path().string(), 1); }),
             Contains("train-images-idx3-ubyte.gz") && Contains("damaged"));
}

TEST_CASE("load_dataset: synthetic images need no files") {
  const Dataset dataset = load_dataset("synthetic", "", /*seed=*/1);
  CHECK(dataset.train.size() == 10000);
  CHECK(dataset.test.size() == 2000);
  CHECK(dataset.train.class_names == dataset.test.class_names);
  CHECK_THROWS_AS(find_dataset("synthetic", ""), UsageError);
}

TEST_CASE("load_dataset: an unknown name is an error that lists the known ones") {
  CHECK_THAT(message_of<UsageError>([] { load_dataset("cifar11", "", 1); }),
             Contains("\"cifar11\"") && Contains("cifar10, cifar100, fashion-mnist, synthetic"));
}
