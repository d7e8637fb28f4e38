// predict and attend on files that are not a dataset's: JPEG and PNG of any size, folders, standard input.
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>

#include "fovea/config.h"
#include "fovea/data/resize.h"
#include "golden_images.h"
#include "image_file.h"
#include "jpeg_file.h"
#include "named_images.h"
#include "png_file.h"
#include "predictions.h"
#include "signals.h"
#include "terminal_program.h"
#include "trainer_program.h"

namespace fovea {
using Catch::Contains, Catch::EndsWith;

namespace {

std::string bytes_of_golden(const std::string& name) {
  const Tensor file = golden_images("jpeg." + name + ".file").at(0).tensor;
  const auto bytes = file.span<uint8_t>();
  return {bytes.begin(), bytes.end()};
}

// Waves of H x W pixels as a PNG file.
std::string waves(int64_t H, int64_t W) {
  Tensor image = Tensor::empty({H, W, 3}, Dtype::u8);
  for (int64_t i = 0; i < image.size(); ++i)
    image.data<uint8_t>()[i] = static_cast<uint8_t>((i % W) * (i / W) / 7 + i * i / 1000);
  return png_bytes(image);
}

Words predict(const Words& more) {
  Words words = {"predict", "--checkpoint", finished_run() + "/last.safetensors"};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

// What the trainer writes to standard output; it must not fail.
std::string out_of(const Words& words) {
  const Outcome outcome = trainer(words);
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  return outcome.out;
}

// A CSV file without its first line, and its rows without their first field.
std::string without_names(const std::string& csv) {
  std::string text;
  for (size_t at = csv.find('\n') + 1; at < csv.size();) {
    const size_t end = csv.find('\n', at) + 1;
    text += csv.substr(csv.find(',', at), end - csv.find(',', at));
    at = end;
  }
  return text;
}

size_t lines_in(const std::string& text) {
  return static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
}

// What a program writes to a terminal as its standard output.
std::string on_terminal(const Words& words) {
  return TerminalProgram(command(words), {STDOUT_FILENO}).text();
}

TEST_CASE("own images: any size gives what the resized image gives, and it is said") {
  const TemporaryFolder folder;
  write_file(folder / "large.png", waves(301, 207));
  const Tensor resized = resized_and_cropped(read_image(folder / "large.png"), 32);
  write_file(folder / "small.png", png_bytes(resized));
  const Outcome large = trainer(predict({folder / "large.png"})),
                small = trainer(predict({folder / "small.png"}));
  REQUIRE((large.code == 0 && small.code == 0));
  CHECK(without_names(large.out) == without_names(small.out));
  CHECK_THAT(large.err,
             Contains("predict: " + folder / "large.png" +
                      ": 207x301 pixels, resized to 32x46 and cropped to the 32x32 in the middle\n"));
  CHECK_THAT(small.err, !Contains("resized"));

  write_file(folder / "tall.png", waves(40, 32));
  write_file(folder / "square.png", waves(64, 64));
  CHECK_THAT(trainer(predict({folder / "tall.png"})).err,
             Contains("32x40 pixels, cropped to the 32x32 in the middle\n"));
  CHECK_THAT(trainer(predict({folder / "square.png"})).err, Contains("64x64 pixels, resized to 32x32\n"));
  CHECK_THAT(
      trainer(predict({folder / "tall.png", folder / "square.png", folder / "small.png"})).err,
      Contains(
          "predict: 2 of 3 images resized to the network's 32x32 pixels, 1 of them cropped to the middle\n"));
}

TEST_CASE("own images: a JPEG that EXIF turns is the image that it shows") {
  const TemporaryFolder folder;
  write_file(folder / "turned.jpg", bytes_of_golden("exif6"));
  write_file(folder / "upright.png", png_bytes(read_image(folder / "turned.jpg")));
  CHECK(read_image(folder / "turned.jpg").shape() == Shape{16, 11, 3});
  CHECK(without_names(out_of(predict({folder / "turned.jpg"}))) ==
        without_names(out_of(predict({folder / "upright.png"}))));
}

TEST_CASE("own images: the help says that EXIF turns JPEG alone") {
  for (const char* command : {"predict", "attend"})
    CHECK_THAT(out_of({command, "--help"}), Contains("JPEG is turned as its EXIF says"));
}

TEST_CASE("own images: a folder stands for its images, by name") {
  const TemporaryFolder folder;
  const std::string photos = folder / "photos";
  write_file(photos + "/b.png", waves(32, 32));
  write_file(photos + "/a.JPG", bytes_of_golden("420"));
  write_file(photos + "/c", bytes_of_golden("grey"));  // by its first bytes
  write_file(photos + "/.hidden.png", "");
  write_file(photos + "/notes.txt", "no image");
  write_file(photos + "/empty.txt", "");
  write_file(photos + "/deeper/d.png", waves(32, 32));
  const Outcome outcome = trainer(predict({photos}));
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  CHECK(lines_in(outcome.out) == 4);
  const size_t a = outcome.out.find("\n" + photos + "/a.JPG,"),
               b = outcome.out.find("\n" + photos + "/b.png,"), c = outcome.out.find("\n" + photos + "/c,");
  CHECK((a < b && b < c && c != std::string::npos));
  CHECK_THAT(outcome.err,
             Contains("predict: " + photos + ": 3 images; 2 other files and 1 folder passed over\n"));
  CHECK(lines_in(out_of(predict({photos, photos + "/b.png", "--limit", "2"}))) == 3);
  CHECK(lines_in(out_of(predict({photos, photos + "/b.png"}))) == 5);

  check_failure(predict({folder.path().string()}), 3,
                "no PNG or JPEG file is directly in this folder, but 1 folder; name a folder that holds");
  std::filesystem::create_directory(folder / "bare");
  check_failure(predict({folder / "bare"}), 3, folder / "bare" + ": this folder is empty; name a folder");
  write_file(folder / "bare/.hidden.png", "");
  check_failure(predict({folder / "bare"}), 3, "this folder has hidden files only");
  write_file(photos + "/d.jpeg", "<html>");  // an image by its name
  check_failure(predict({photos}), 3, photos + "/d.jpeg: a web page, and no image, found");
}

TEST_CASE("own images: what has the name of an image and cannot be read is an error") {
  const TemporaryFolder folder;
  const std::string photos = folder / "photos";
  write_file(photos + "/a.png", waves(32, 32));
  const auto check_refused = [&](const std::string& name, const std::string& found) {
    check_failure(predict({photos}), 3, photos + "/" + name + ": " + found);
    check_failure(predict({photos + "/" + name}), 3, photos + "/" + name + ": " + found);
    std::filesystem::remove(photos + "/" + name);
  };
  std::filesystem::create_symlink("nothing", photos + "/nowhere.png");
  check_refused("nowhere.png", "a link to a file that is not there; give a PNG or JPEG file");
  std::filesystem::create_symlink("loop.JPG", photos + "/loop.JPG");
  check_refused("loop.JPG", "cannot be opened: Too many levels of symbolic links");
  std::filesystem::create_symlink("/dev/zero", photos + "/device.png");
  check_refused("device.png", "is not a regular file");
  REQUIRE(mkfifo((photos + "/pipe.jpeg").c_str(), 0600) == 0);
  check_refused("pipe.jpeg", "is not a regular file");

  // Without such a name it is told how many there are, and of a pipe nothing is read.
  std::filesystem::create_symlink("nothing", photos + "/nowhere");
  std::filesystem::create_symlink("loop", photos + "/loop");
  REQUIRE(mkfifo((photos + "/pipe").c_str(), 0600) == 0);
  std::filesystem::create_directory(photos + "/deeper.png");
  std::string others = "1 other file, 2 files that cannot be read and 1 folder passed over\n";
  CHECK_THAT(trainer(predict({photos})).err, Contains("photos: 1 image; " + others));
  write_file(photos + "/locked", waves(32, 32));
  std::filesystem::permissions(photos + "/locked", std::filesystem::perms::none);
  if (geteuid() != 0) {  // who may read everything
    others.replace(others.find('2'), 1, "3");
    CHECK_THAT(trainer(predict({photos})).err, Contains("photos: 1 image; " + others));
  }
  for (const std::string command : {"predict", "attend"}) {
    Words words = predict({"", "--out", folder / (command == "attend" ? "masks" : "p.csv")});
    words[0] = command;
    check_failure(words, 2, command + ": the name of an image is empty, wanted a file, a folder or -");
  }
}

TEST_CASE("own images: an image on standard input") {
  const TemporaryFolder folder;
  write_file(folder / "a.jpg", bytes_of_golden("progressive"));
  const auto from_input = [&](const std::string& file, const std::string& name) {
    std::string line;
    for (const std::string& word : command(predict({name}))) line += "'" + word + "' ";
    return run_program({"sh", "-c", "cat '" + file + "' | " + line});
  };
  const Outcome outcome = from_input(folder / "a.jpg", "-");
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  CHECK_THAT(outcome.out, Contains("\n-,"));
  CHECK_THAT(outcome.err, Contains("predict: standard input: 29x19 pixels, resized to"));
  CHECK(without_names(outcome.out) == without_names(out_of(predict({folder / "a.jpg"}))));
  const Outcome empty = from_input("/dev/null", "-");
  CHECK(empty.code == 3);
  CHECK_THAT(empty.err, Contains("standard input: the file is empty"));
  check_failure(predict({"-", "-"}), 2, "standard input (-) is named twice");
}

TEST_CASE("own images: a signal ends the wait for standard input") {
  const TemporaryFolder folder;
  const std::string pipe = folder / "pipe";
  REQUIRE(mkfifo(pipe.c_str(), 0600) == 0);
  const int writer = open(pipe.c_str(), O_RDWR | O_CLOEXEC);  // also a reader: this does not wait for one
  REQUIRE((writer >= 0 && write(writer, "x", 1) == 1));
  std::string line = "exec ";
  for (const std::string& word : command(predict({"-"}))) line += "'" + word + "' ";
  Program program({"sh", "-c", line + "<'" + pipe + "'"});
  program.wait_until([&] {
    int left = 0;
    return ioctl(writer, FIONREAD, &left) == 0 && left == 0;
  });
  program.kill(SIGTERM);
  const Outcome outcome = program.wait();
  close(writer);
  CHECK(outcome.code == 143);
  CHECK_THAT(outcome.err, Contains("stopped by a signal while reading standard input") &&
                              Contains("\nStopping; once more to stop at once.\n"));
}

TEST_CASE("own images: a file that is named must be right, and nothing is written otherwise") {
  const TemporaryFolder folder;
  write_file(folder / "good.png", waves(32, 32));
  write_file(folder / "bad.jpg", bytes_of_golden("420").substr(0, 300));
  write_file(folder / "cmyk.jpg", jpeg({.channels = 4}));
  const Words out = {folder / "good.png", folder / "bad.jpg", "--out", folder / "p.csv"};
  check_failure(predict(out), 3, folder / "bad.jpg" + ": the image is damaged or cut short");
  CHECK(!std::filesystem::exists(folder / "p.csv"));
  check_failure(predict({folder / "cmyk.jpg"}), 3, "CMYK colours found");
  check_failure(predict({folder / "good.png", folder / "none.png"}), 3, "none.png: no such file");
}

#if !defined(__SANITIZE_ADDRESS__)  // which reserves terabytes of addresses
TEST_CASE("own images: a lack of memory for an image is said with the file's name") {
  constexpr int kSide = 16384;  // 805 MB
  const TemporaryFolder folder;
  write_file(folder / "a.png", png(kSide, kSide, 1, 0, std::string(size_t{kSide} * (1 + kSide / 8), '\0')));
  for (const int process : {0xc0, 0xc2})
    write_file(folder / (process == 0xc0 ? "b.jpg" : "c.jpg"),
               jpeg({.width = kSide, .height = kSide, .process = process}));
  const std::string limit =
      FOVEA_HAS_CUDA ? "1300000" : "700000";  // CUDA's libraries take 600 MB of addresses
  for (const char* name : {"a.png", "b.jpg", "c.jpg"}) {
    Words words = command(predict({folder / name}));
    words.insert(words.begin(), {"/bin/sh", "-c", "ulimit -v " + limit + "; exec \"$0\" \"$@\""});
    const Outcome outcome = run_program(words);
    CHECK(outcome.code == 4);
    CHECK_THAT(outcome.err, EndsWith("cifar_trainer: image: " + folder / name +
                                     ": no memory is left for this image; make it smaller, or end other "
                                     "programs\n"));
  }
}
#endif

TEST_CASE("own images: a signal is seen within an image") {
  const TemporaryFolder folder;
  // Whose damage comes after the place where the signal is seen.
  write_file(folder / "a.png", waves(500, 500).substr(0, 40000));
  write_file(folder / "b.jpg", bytes_of_golden("420").substr(0, 300));
  for (const char* name : {"a.png", "b.jpg"}) {
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {  // where the signal stays received
      cli::handle_signals(/*saves=*/false);
      raise(SIGINT);
      try {
        cli::read_named_images("predict", {folder / name}, 32);
      } catch (const Error& error) {
        write_file(folder / "message", error.what());
        _exit(error.exit_code());
      }
      _exit(0);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(WEXITSTATUS(status) == 130);
    CHECK(file_bytes(folder / "message") == "stopped by a signal while reading images");
  }
}

TEST_CASE("own images: --top-k") {
  const TemporaryFolder folder;
  write_file(folder / "a.png", waves(32, 32));
  const std::string all = out_of(predict({folder / "a.png"}));
  const std::string three = out_of(predict({folder / "a.png", "--top-k", "3"}));
  CHECK(three.starts_with("image,class1,probability1,class2,probability2,class3,probability3\n" +
                          folder / "a.png"));
  CHECK(lines_in(three) == 2);
  const std::string likeliest = without_names(all).substr(1, without_names(all).find(',', 1));
  CHECK(without_names(three).starts_with("," + likeliest));
  REQUIRE(out_of(predict({folder / "a.png", "--top-k", "10", "--out", folder / "p.csv"})).empty());
  CHECK(file_bytes(folder / "p.csv").starts_with(three.substr(0, three.find('\n'))));
  check_failure(predict({folder / "a.png", "--top-k", "11"}), 2, "--top-k is 11, wanted at most 10");
  check_failure(predict({folder / "a.png", "--top-k", "0"}), 2, "--top-k");
  check_failure(predict({folder / "a.png", "--top-k", "2", "--out", folder / "p.npy"}), 2,
                "which has the probabilities of all classes");
}

TEST_CASE("own images: a terminal gets a table, by the likeliest classes") {
  const TemporaryFolder folder;
  write_file(folder / "a.png", waves(32, 32));
  const auto percentages = [](const std::string& text) { return std::count(text.begin(), text.end(), '%'); };
  const std::string table = on_terminal(predict({folder / "a.png"}));
  CHECK_THAT(table, Contains(folder / "a.png  ") && !Contains("image,class"));
  CHECK(percentages(table) == 3);
  CHECK(percentages(on_terminal(predict({folder / "a.png", "--top-k", "5"}))) == 5);
  CHECK(on_terminal(predict({folder / "a.png", "--out", folder / "p.csv"})).empty());
  CHECK(file_bytes(folder / "p.csv") == out_of(predict({folder / "a.png"})));
}

TEST_CASE("own images: the likeliest by hand, as CSV and as a table") {
  const cli::Predictions predictions{Tensor::from<float>({0.25f, 0.5f, 0.25f, 0.125f, 0.0f, 0.875f}, {2, 3}),
                                     {"a,b.png", "\xc3\xa4\x1b.jpg"},
                                     {"cat", "dog", "a \"frog\""}};
  CHECK(csv_of_likeliest(predictions, 2) ==
        "image,class1,probability1,class2,probability2\n"
        "\"a,b.png\",dog,0.500000,cat,0.250000\n"
        "\xc3\xa4\x1b.jpg,\"a \"\"frog\"\"\",0.875000,cat,0.125000\n");
  CHECK(table_of_likeliest(predictions, 2) ==
        "a,b.png    dog 50.0%       cat 25.0%\n"
        "\xc3\xa4\\x1b.jpg  a \"frog\" 87.5%  cat 12.5%\n");
  CHECK(csv_of_all(predictions) ==
        "image,class,cat,dog,\"a \"\"frog\"\"\"\n"
        "\"a,b.png\",dog,0.250000,0.500000,0.250000\n"
        "\xc3\xa4\x1b.jpg,\"a \"\"frog\"\"\",0.125000,0.000000,0.875000\n");
}

TEST_CASE("own images: line feeds and tabs in names break neither the table nor lines") {
  const cli::Predictions predictions{Tensor::from<float>({0.25f, 0.75f, 0.5f, 0.5f}, {2, 2}),
                                     {"new\nline.jpg", "tab\t.jpg"},
                                     {"c\tat", "dog"}};
  CHECK(table_of_likeliest(predictions, 2) ==
        "new\\x0aline.jpg  dog 75.0%      c\\x09at 25.0%\n"
        "tab\\x09.jpg      c\\x09at 50.0%  dog 50.0%\n");
  const TemporaryFolder folder;
  write_file(folder / "new\nfolder/tab\t.png", waves(40, 32));
  write_file(folder / "new\nfolder/notes.txt", "");
  const Outcome outcome = trainer(predict({folder / "new\nfolder"}));
  CHECK(outcome.code == 0);
  CHECK_THAT(outcome.err, Contains("new\\x0afolder: 1 image; 1 other file passed over\n") &&
                              Contains("new\\x0afolder/tab\\x09.png: 32x40 pixels, cropped"));
}

TEST_CASE("own images: attend takes the same") {
  const TemporaryFolder folder;
  write_file(folder / "photos/a.jpg", bytes_of_golden("444"));
  write_file(folder / "photos/b.png", waves(100, 90));
  Words words = predict({folder / "photos", "--out", folder / "masks"});
  words[0] = "attend";
  const Outcome outcome = trainer(words);
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  CHECK_THAT(outcome.err,
             Contains("attend: 2 of 2 images resized to the network's 32x32 pixels, 2 of them cropped"));
  CHECK_THAT(file_bytes(folder / "masks/masks.npy"), Contains("'shape': (3, 2, 32, 32)"));
  for (int i = 0; i < 63; ++i) write_file(folder / "photos/c" + std::to_string(i) + ".png", waves(32, 32));
  check_failure(words, 2, "65 images, wanted at most 64 at once; --limit 64 takes the first of them");
}

}  // namespace
}  // namespace fovea
