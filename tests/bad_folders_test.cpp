// Folders and arrays that are no dataset, or a damaged one: each is refused by name, with what to do.
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <functional>

#include "image_tree.h"
#include "jpeg_file.h"
#include "npy_files.h"
#include "own_images.h"
#include "png_file.h"

using namespace fovea;
using namespace fovea::cli;
using Catch::Contains;
using namespace std::string_literals;
namespace fs = std::filesystem;

namespace {

// How a folder that was right is made wrong, the path that the error names, and what it says.
struct BadFolder {
  std::function<void(const std::string& root)> spoil;
  std::string path, found;
};

BadFolder with_file(const std::string& name, const std::string& contents, const std::string& found) {
  return {[=](const std::string& root) { write_file(root + "/" + name, contents); }, name, found};
}

// The error names the folder at `path`.
BadFolder at(const std::string& path, BadFolder bad) {
  bad.path = path;
  return bad;
}

BadFolder without(const std::string& name, const std::string& path, const std::string& found) {
  return {[=](const std::string& root) { fs::remove_all(root + "/" + name); }, path, found};
}

// Image 5 of the class cat is another file.
BadFolder with_image(const std::string& contents, const std::string& found) {
  return with_file("cat/5.png", contents, found);
}

std::vector<BadFolder> bad_images() {
  const std::string good = plain_png(9, 9, 50);
  std::string flipped = good;
  flipped[good.find("IDAT") + 5] = '\x7f';  // in what zlib begins with
  return {with_image("", "the file is empty"),
          with_image(good.substr(0, good.find("IDAT") + 12), "damaged or cut short"),
          with_image(good.substr(0, 20), "not a PNG image"),
          with_image(flipped, "damaged or cut short"),
          with_image("GIF89a\1\0\1\0"s, "a GIF image found, wanted PNG or JPEG"),
          with_image("RIFF\x24\0\0\0WEBPVP8 "s, "a WebP image found"),
          with_image("BM\x36\0\0\0"s, "a BMP image found"),
          with_image("<html>", "a web page, and no image, found"),
          with_image(std::string(4096, '\0'), "a file that begins with zeros"),
          with_image(jpeg({.channels = 4}), "CMYK colours found"),
          with_image(jpeg({.channels = 2}), "2 channels found"),
          with_image(jpeg({.has_end = false}), "damaged or cut short"),
          with_image(jpeg({.width = 0}), "damaged or cut short"),
          with_image(png(65536, 1, 1, 0, ""), "65536x1 pixels, expected at most 65535 a side"),
          with_image(png(40000, 40000, 1, 0, ""), "40000x40000 pixels, expected at most"),
          with_file("cat/5.jpeg", "a picture of a cat", "a text file found"),
          {[](const std::string& root) { fs::create_symlink("nothing", root + "/cat/x.png"); }, "cat/x.png",
           "a link to a file that is not there"},
          {[](const std::string& root) { fs::create_symlink("x.png", root + "/cat/x.png"); }, "cat/x.png",
           "Too many levels of symbolic links"},
          {[](const std::string& root) { REQUIRE(mkfifo((root + "/cat/x.png").c_str(), 0600) == 0); },
           "cat/x.png", "is not a regular file"},
          {[](const std::string& root) { fs::create_symlink("/dev/zero", root + "/cat/x.png"); }, "cat/x.png",
           "is not a regular file"}};
}

std::vector<BadFolder> bad_trees() {
  const std::string image = plain_png(4, 4, 7);
  return {
      without("", "", "no such folder; wanted a folder for each class"),
      {[](const std::string& root) { fs::remove_all(root), write_file(root, "x"); }, "",
       "a file found, wanted a folder for each class"},
      {[](const std::string& root) { fs::remove_all(root), fs::create_directory(root); }, "",
       "no folder of a class found, wanted a folder for each class"},
      {[=](const std::string& root) { fs::remove_all(root), write_file(root + "/1.png", image); }, "",
       "no folder of a class found, but 1 images"},
      {[](const std::string& root) { fs::remove_all(root), write_file(root + "/a.txt", ""); }, "",
       "no folder of a class found, but 1 other file"},
      without("dog", "", "one class found (cat), wanted at least two"),
      {[](const std::string& root) { fs::create_directory(root + "/fox"); }, "fox",
       "a class without images found"},
      at("fox", with_file("fox/notes.txt", "", "a class without images found, with 1 other file")),
      at("fox", with_file("fox/.hidden.png", image, "a class without images found")),
      with_file("1.png", image, "an image beside the folders of the classes"),
      at("cat/deeper", with_file("cat/deeper/1.png", image, "a folder within the folder of a class found")),
      {[](const std::string& root) { fs::create_directory_symlink("..", root + "/cat/up"); }, "cat/up",
       "a folder within the folder of a class found"},
      {[](const std::string& root) { fs::create_symlink("loop", root + "/loop"); }, "loop",
       "cannot be read, or is a link to nothing"},
      {[](const std::string& root) { fs::create_symlink("nowhere", root + "/fox"); }, "fox",
       "cannot be read, or is a link to nothing"},
      {[](const std::string& root) { fs::create_symlink("nowhere", root + "/cat/x"); }, "cat/x",
       "cannot be read, or is a link to nothing"},
      with_file("a\nb/1.png", image, "has control characters in its name"),
      with_file("a\tb/1.png", image, "has control characters in its name"),
      with_file("\x1b[31m/1.png", image, "the folder \"\\x1b[31m\" has control characters"),
      with_file("caf\xe9/1.png", image, "or what is no UTF-8"),
      with_file("\xe2\x80\xae/1.png", image, "has control characters in its name"),
      at("cat", with_file("train/cat/1.png", image,
                          "a folder beside train found, wanted train, test and val alone")),
      at("cat", with_file("test/cat/1.png", image, "a folder beside test found"))};
}

// Of a folder with the parts train and test.
std::vector<BadFolder> bad_parts() {
  const std::string image = plain_png(4, 4, 7);
  return {without("test/dog", "test", "one class found (cat)"),
          at("test", with_file("test/fox/1.png", image, "has the class \"fox\", ")),
          at("train", with_file("train/fox/1.png", image, "has the class \"fox\", ")),
          with_file("1.png", image, "an image beside test, which has no class"),
          with_file("train/1.png", image, "an image beside the folders of the classes"),
          at("fox", with_file("fox/1.png", image, "a folder beside test found")),
          {[](const std::string& root) {
             fs::copy(root + "/test", root + "/val", fs::copy_options::recursive),
                 fs::copy(root + "/test", root + "/valid", fs::copy_options::recursive);
           },
           "", "both val and valid found"},
          {[](const std::string& root) { fs::create_directory(root + "/train/fox"); }, "train/fox",
           "a class without images"},
          without("train/cat", "train", "one class found (dog)")};
}

std::vector<BadFolder> bad_arrays() {
  const std::string images = npy_images(4, 2, 2), nine(9, '\0');
  return {
      without("", "", "no such folder"),
      {[](const std::string& root) { fs::remove_all(root), write_file(root, "x"); }, "", "a file found"},
      {[](const std::string& root) { fs::remove_all(root), fs::create_directory(root); }, "",
       "none of these arrays found"},
      without("labels.npy", "images.npy", "but no "),
      without("images.npy", "labels.npy", "but no "),
      with_file("labels.npy", npy_labels("010"), "3 labels found for 4 images"),
      with_file("labels.npy", npy_labels("01011"), "5 labels found for 4 images"),
      at("", with_file("labels.npy", npy_labels("0000"), "one class found")),
      with_file("labels.npy", npy_labels("0202"), "no image has the label 1 (1), the greatest is 2"),
      with_file("labels.npy", npy("|i1", "(4,)", "\0\1\xff\0"s), "image 2 has the label -1"),
      with_file("labels.npy", npy("<u8", "(4,)", std::string(32, '\xff')),
                "image 0 has the label 2^63 or more"),
      with_file("labels.npy", npy("<i4", "(4,)", std::string(16, '\x7f')),
                "image 0 has the label 2139062143"),
      with_file("labels.npy", npy("<f8", "(4,)", std::string(32, '\0')), "labels of the type \"<f8\" found"),
      with_file("labels.npy", npy("|b1", "(4,)", "\0\1\0\1"s), "labels of the type \"|b1\" found"),
      with_file("labels.npy", npy("|u1", "(4, 2)", std::string(8, '\0')), "a.argmax(axis=1)"),
      with_file("labels.npy", npy(">i8", "(4,)", std::string(32, '\0')), "save a.astype('<i8')"),
      with_file("images.npy", npy("<f4", "(4, 1, 1, 3)", std::string(48, '\0')), "wanted uint8"),
      with_file("images.npy", npy("|u1", "(4, 3, 1, 1)", std::string(12, '\0')), "a.transpose(0, 2, 3, 1)"),
      with_file("images.npy", npy("|u1", "(4, 1, 1, 3)", std::string(12, '\0'), true), "Fortran's order"),
      with_file("images.npy", images.substr(0, images.size() - 5), "damaged or cut short"),
      with_file("images.npy", "", "the file is empty"),
      with_file("images.npy", plain_png(4, 4, 1), "a PNG image found, wanted an array of NumPy"),
      with_file("images.npy", npy("|O", "(4,)", nine), "wanted numbers"),
      with_file("train-images.npy", images, "but no "),
      {[=](const std::string& root) {
         write_file(root + "/test-images.npy", images),
             write_file(root + "/test-labels.npy", npy_labels("0101"));
       },
       "", "both images.npy and arrays of parts found"},
      at("", with_file("classes.txt", "cat\n", "one class found")),
      at("labels.npy", with_file("classes.txt", "cat\ndog\nfox\n", "no image has the label 2 (fox)")),
      with_file("classes.txt", "cat\ncat\n", "line 2: the class \"cat\" is named a second time"),
      with_file("classes.txt", "cat\n\ndog\n", "line 2: \"\" found, wanted a class name"),
      with_file("classes.txt", "cat\n\x1b[31m\n", "wanted a class name without control characters"),
      {[](const std::string& root) {
         fs::remove(root + "/images.npy"), fs::create_directory(root + "/images.npy");
       },
       "images.npy", "is not a regular file"},
      {[](const std::string& root) {
         fs::remove(root + "/images.npy"), fs::create_symlink("/dev/zero", root + "/images.npy");
       },
       "images.npy", "is not a regular file"}};
}

void put_classes(const std::string& folder) {
  for (int i = 0; i < 6; ++i)
    write_file(folder + (i % 2 == 0 ? "/dog/" : "/cat/") + std::to_string(i) + ".png",
               plain_png(4, 4, 20 * i));
}

void put_parts(const std::string& folder) {
  put_classes(folder + "/train");
  put_classes(folder + "/test");
}

void put_arrays(const std::string& folder) {
  write_file(folder + "/images.npy", npy_images(4, 2, 2));
  write_file(folder + "/labels.npy", npy_labels("0101"));
}

void check_refused(const std::vector<BadFolder>& folders, void (*put)(const std::string&),
                   OwnImages (*list)(const std::string&)) {
  for (const BadFolder& bad : folders) {
    INFO(bad.path << ": " << bad.found);
    const TemporaryFolder folder;
    const std::string root = folder / "data";
    put(root);
    CHECK_NOTHROW(read_own_images(list(root), {}, 4));
    bad.spoil(root);
    const std::string message = message_of<DataError>([&] { read_own_images(list(root), {}, 4); });
    const fs::path path = bad.path.empty() ? fs::path(root) : fs::path(root) / bad.path;
    CHECK_THAT(message, Contains(bad.found));
    // A class's name that cannot be shown is spelt out.
    const bool is_clean = printable(path.string()) == path.string();
    CHECK_THAT(
        message,
        Contains(is_clean && bad.path.find_first_of("\n\t") == std::string::npos ? path.string() : root));
    CHECK(message == printable(message));
  }
}

}  // namespace

TEST_CASE("bad folders: more than 60 kinds are tried") {
  CHECK(bad_images().size() + bad_trees().size() + bad_parts().size() + bad_arrays().size() == 83);
}

TEST_CASE("bad folders: an image that is none is refused by name") {
  check_refused(bad_images(), put_classes, list_image_folder);
}

TEST_CASE("bad folders: a tree that is none of classes is refused by name") {
  check_refused(bad_trees(), put_classes, list_image_folder);
}

TEST_CASE("bad folders: parts that do not go together are refused by name") {
  check_refused(bad_parts(), put_parts, list_image_folder);
}

TEST_CASE("bad folders: arrays that are no images and labels are refused by name") {
  check_refused(bad_arrays(), put_arrays, list_npy_folder);
}
