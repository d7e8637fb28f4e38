// Folders of images and arrays as datasets: which images there are, in which order, and what is tested with.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <csignal>

#include "fovea/core/parallel_for.h"
#include "fovea/data/resize.h"
#include "image_tree.h"
#include "npy_files.h"
#include "own_images.h"
#include "setup.h"
#include "signals.h"

using namespace fovea;
using namespace fovea::cli;
using Catch::Contains;

namespace {

// The files of a list, from below the folder on.
std::vector<std::string> files_of(const ImageList& list, const std::string& folder) {
  std::vector<std::string> files;
  for (const int64_t image : list.images) files.push_back(list.source->file(image).substr(folder.size() + 1));
  return files;
}

using Files = std::vector<std::string>;

void put(const std::string& folder, const Files& files) {
  int colour = 0;
  for (const std::string& file : files) write_file(folder + "/" + file, plain_png(4, 4, 10 * colour++));
}

// Ten images of each of two classes.
void put_two_classes(const std::string& folder) {
  for (int i = 0; i < 10; ++i)
    put(folder, {"cat/" + std::to_string(i) + ".png", "dog/" + std::to_string(i) + ".png"});
}

}  // namespace

TEST_CASE("own dataset: classes by name, images by the names of their files over all classes") {
  const TemporaryFolder folder;
  const std::string root = folder / "pets";
  put(root,
      {"dog/002.png", "dog/004.png", "cat/003.png", "cat/001.png", "Zebra/002.png", "cat/\xc3\xa4.png"});
  write_file(root + "/notes.txt", "");
  write_file(root + "/cat/Thumbs.db", "");
  write_file(root + "/.git/x.png", "");
  write_file(root + "/__MACOSX/cat/x.png", "");
  const OwnImages images = list_image_folder(root);
  CHECK(images.class_names == Files{"Zebra", "cat", "dog"});
  CHECK(files_of(images.train, root) == Files{"cat/001.png", "Zebra/002.png", "dog/002.png", "cat/003.png",
                                              "dog/004.png", "cat/\xc3\xa4.png"});
  CHECK(images.train.labels == std::vector<int32_t>{1, 0, 2, 1, 2, 1});
  CHECK((images.test.size() == 0 && images.validation.size() == 0));
}

TEST_CASE("own dataset: parts above the classes, and a class that is called as one") {
  const TemporaryFolder folder;
  const std::string root = folder / "parts";
  put(root, {"train/cat/1.png", "train/dog/2.png", "test/cat/1.png", "test/dog/3.png"});
  OwnImages images = list_image_folder(root);
  CHECK(files_of(images.train, root) == Files{"train/cat/1.png", "train/dog/2.png"});
  CHECK(files_of(images.test, root) == Files{"test/cat/1.png", "test/dog/3.png"});
  const std::string validation = GENERATE("val", "valid", "validation");
  put(root, {validation + "/cat/4.png", validation + "/dog/5.png"});
  images = list_image_folder(root);
  CHECK(images.test.size() == 2);
  CHECK(files_of(images.validation, root) == Files{validation + "/cat/4.png", validation + "/dog/5.png"});

  std::filesystem::remove_all(root + "/test");  // then it is the test set
  images = list_image_folder(root);
  take_test_share(images, 0.5);
  CHECK(files_of(images.test, root) == Files{validation + "/cat/4.png", validation + "/dog/5.png"});
  CHECK((images.validation.size() == 0 && images.train.size() == 2));

  const std::string vehicles = folder / "vehicles";
  put(vehicles, {"train/1.png", "bus/2.png"});
  CHECK(list_image_folder(vehicles).class_names == Files{"bus", "train"});
}

TEST_CASE("own dataset: links count as what they lead to") {
  const TemporaryFolder folder;
  put(folder / "far", {"1.png", "2.png"});
  put(folder / "pets", {"dog/3.png"});
  std::filesystem::create_directory_symlink(folder / "far", folder / "pets/cat");
  std::filesystem::create_symlink(folder / "far/1.png", folder / "pets/dog/0.png");
  const OwnImages images = list_image_folder(folder / "pets");
  CHECK(files_of(images.train, folder / "pets") == Files{"dog/0.png", "cat/1.png", "cat/2.png", "dog/3.png"});
}

TEST_CASE("own dataset: without a test part a share of each class, which no seed changes") {
  const TemporaryFolder folder;
  const std::string root = folder / "pets";
  put_two_classes(root);
  OwnImages images = list_image_folder(root);
  take_test_share(images, 0.3);
  CHECK((images.train.size() == 14 && images.test.size() == 6));
  CHECK(std::count(images.test.labels.begin(), images.test.labels.end(), 0) == 3);
  Files all = files_of(images.train, root), test = files_of(images.test, root);
  CHECK((std::is_sorted(images.train.images.begin(), images.train.images.end()) &&
         std::is_sorted(images.test.images.begin(), images.test.images.end())));
  all.insert(all.end(), test.begin(), test.end());
  std::sort(all.begin(), all.end());
  CHECK(std::unique(all.begin(), all.end()) == all.end());
  CHECK(all.size() == 20);

  Settings settings;
  settings.dataset = "folder";
  settings.data = root;
  settings.test_share = 0.3;
  settings.image_size = 8;
  for (const uint64_t seed : {1U, 2U}) {
    settings.training.seed = seed;
    const Files found = load_images(settings).test.files;
    REQUIRE(found.size() == 6);
    for (size_t i = 0; i < 6; ++i) CHECK(found[i] == root + "/" + test[i]);
  }
  images = list_image_folder(root);
  take_test_share(images, 1);
  CHECK((images.train.size() == 0 && images.test.size() == 20));
  images = list_image_folder(root);
  CHECK_THAT(message_of<DataError>([&] { take_test_share(images, 0.01); }), Contains("20 images found"));
  put(folder / "few", {"a/1.png", "b/2.png", "b/3.png"});
  images = list_image_folder(folder / "few");
  CHECK_THAT(message_of<DataError>([&] { take_test_share(images, 0.6); }),
             Contains("is left to train with") && Contains("--test-share"));
}

TEST_CASE("own dataset: images are resized as predict has them, by any number of threads, with their names") {
  const TemporaryFolder folder;
  const std::string root = folder / "pets";
  for (int i = 0; i < 6; ++i)
    write_file(root + (i % 2 ? "/a/" : "/b/") + std::to_string(i) + ".png", plain_png(20 + i, 31, 40 * i));
  Tensor waves = Tensor::empty({50, 70, 3}, Dtype::u8);
  for (int64_t i = 0; i < waves.size(); ++i) waves.data<uint8_t>()[i] = static_cast<uint8_t>(i * i / 900);
  write_file(root + "/a/6.png", png_bytes(waves));
  const OwnImages images = list_image_folder(root);
  const ImageSet set = read_own_images(images, {}, 16).train;
  CHECK(set.images.shape() == Shape{7, 16, 16, 3});
  CHECK(set.files[3] == root + "/a/3.png");
  const Tensor wanted = resized_and_cropped(waves, 16);
  const Tensor found = set.images.slice(6 * wanted.size(), wanted.shape());
  CHECK(std::ranges::equal(found.span<uint8_t>(), wanted.span<uint8_t>()));
  const int before = num_threads();
  set_num_threads(3);
  const ImageSet again = read_own_images(images, {}, 16).train;
  set_num_threads(before);
  CHECK(std::ranges::equal(again.images.span<uint8_t>(), set.images.span<uint8_t>()));
  // No more is read than is wanted: the second image is none.
  write_file(root + "/a/1.png", "no image");
  CHECK(read_own_images(images, {.train_limit = 1}, 16).train.files == Files{root + "/b/0.png"});
}

TEST_CASE("own dataset: all images that cannot be read are named") {
  const TemporaryFolder folder;
  put_two_classes(folder / "pets");
  for (const char* name : {"cat/3.png", "dog/1.png", "dog/7.png"})
    write_file(folder.path() / "pets" / name, "GIF89a");
  const OwnImages images = list_image_folder(folder / "pets");
  CHECK_THAT(
      message_of<DataError>([&] { read_own_images(images, {}, 8); }),
      Contains(folder / "pets/cat/3.png: a GIF image found, wanted PNG or JPEG") &&
          Contains("; neither can be read: " + folder / "pets/dog/1.png, " + folder / "pets/dog/7.png"));
}

TEST_CASE("own dataset: more than there is memory for is refused before it is read") {
  check_fits("pets", 1000, 100, 1000 * 30004);
  check_fits("pets", 1000, 100, std::nullopt);
  CHECK(message_of<OutOfMemory>([] { check_fits("pets", 1000000, 224, int64_t{16000000000}); }) ==
        "pets: 1000000 images of 224x224 pixels take 150.5 GB of memory, and 16.0 GB are left; use a smaller "
        "--image-size or --limit, end other programs, or raise the limit that this process has");
}

TEST_CASE("own dataset: a signal ends the reading") {
  const TemporaryFolder folder;
  put_two_classes(folder / "pets");
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {  // where the signal stays received
    const OwnImages images = list_image_folder(folder / "pets");
    handle_signals(/*saves=*/true);
    raise(SIGINT);
    try {
      read_own_images(images, {}, 8);
    } catch (const Error& error) {
      _exit(error.exit_code());
    }
    _exit(0);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WEXITSTATUS(status) == 130);
}

TEST_CASE("own dataset: arrays, whole or in parts, with names of classes or without") {
  const TemporaryFolder folder;
  write_file(folder / "images.npy", npy_images(5, 2, 3));
  write_file(folder / "labels.npy", npy_labels("01210"));
  OwnImages images = list_npy_folder(folder.path().string());
  CHECK(images.class_names == Files{"0", "1", "2"});
  CHECK(images.train.labels == std::vector<int32_t>{0, 1, 2, 1, 0});
  const ImageSet set = read_own_images(images, {}, 2).train;
  CHECK(set.files.empty());
  CHECK(set.images.shape() == Shape{5, 2, 2, 3});
  CHECK(set.images.span<uint8_t>()[4 * 12] == 40);
  write_file(folder / "classes.txt", "cat\r\n\xc3\xa4\r\nfox");
  CHECK(list_npy_folder(folder.path().string()).class_names == Files{"cat", "\xc3\xa4", "fox"});

  const std::string parts = folder / "parts";
  for (const std::string part : {"train-", "test-", "val-"}) {
    write_file(parts + "/" + part + "images.npy", npy_images(3, 2, 2));
    write_file(parts + "/" + part + "labels.npy", npy_labels(part == "test-" ? "110" : "010"));
  }
  images = list_npy_folder(parts);
  CHECK(images.test.labels == std::vector<int32_t>{1, 1, 0});
  CHECK((images.train.size() == 3 && images.validation.size() == 3));
}

TEST_CASE("own dataset: a network that is too large for the images is refused before they are read") {
  Settings settings;
  settings.dataset = "folder";
  settings.data = "nowhere";
  for (const char* model :
       {"attention-nano", "attention56", "attention92-wide", "preact-resnet164", "attention56-imagenet"}) {
    INFO(model);
    settings.model = model;
    const int64_t least = smallest_input_size(model);
    settings.image_size = least;
    check_image_size(settings);
    make_network(settings, /*classes=*/2, /*seed=*/1);
    settings.image_size = least - 1;
    CHECK_THAT(message_of<UsageError>([&] { load_images(settings); }),
               Contains("settings: image-size is " + std::to_string(least - 1)) &&
                   Contains("wanted at least " + std::to_string(least)));
  }
}
