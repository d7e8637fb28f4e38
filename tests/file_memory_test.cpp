// A file, whatever it holds, takes at most twice as much memory as it has bytes, and a little for small ones.
#include <malloc.h>
#include <sys/wait.h>

#include <catch2/catch.hpp>
#include <cstring>

#include "fovea/models/zoo.h"
#include "fovea/training/classifier.h"
#include "image_file.h"
#include "jpeg_file.h"
#include "png_file.h"
#include "setup.h"
#include "test_files.h"

using namespace fovea;
using Catch::Contains;

namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr double kOverhead = 4;  // the sanitizer's own, and what was freed is not used again
#else
constexpr double kOverhead = 1;
#endif
constexpr double kSpareBytes = 8 << 20;

/// A line of /proc/self/status, in bytes.
double status_of(const std::string& key) {
  const std::string text = file_bytes("/proc/self/status");
  return std::stod(text.substr(text.find(key + ":") + key.size() + 1)) * 1024;
}

struct Reading {
  std::string message;  // of the error, if any
  double bytes = 0;     // more at most than before
};

/// What reading in a process of its own came to.
template <class Read>
Reading measure(const Read& read) {
  const TemporaryFolder folder;
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    malloc_trim(0);                             // what the test itself has freed
    write_bytes("/proc/self/clear_refs", "5");  // the peak is the present amount again
    const double before = status_of("VmRSS");
    try {
      read();
    } catch (const std::exception& error) {
      write_bytes(folder / "message", error.what());
    }
    write_bytes(folder / "bytes", std::to_string(status_of("VmHWM") - before));
    _exit(0);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE(status == 0);
  return {file_bytes(folder / "message"), std::stod(file_bytes(folder / "bytes"))};
}

/// Writes a safetensors file of this header and so many zeros.
void write_header(const std::string& path, const std::string& header, size_t data_bytes = 0) {
  std::string bytes(8, '\0');
  const uint64_t length = header.size();
  std::memcpy(bytes.data(), &length, 8);
  write_bytes(path, bytes + header + std::string(data_bytes, '\0'));
}

template <class Piece>
std::string repeated(int count, const Piece& piece) {
  std::string text;
  for (int i = 0; i < count; ++i) text += std::string(i > 0 ? "," : "") + piece(std::to_string(i));
  return text;
}

/// Checks the memory that reading takes; the message of its error.
std::string check_memory(const std::string& path) {
  const Reading reading = measure([&] { read_safetensors(path); });
  const auto size = static_cast<double>(std::filesystem::file_size(path));
  INFO(path << ": " << reading.bytes / size << " times its " << size << " bytes; " << reading.message);
  CHECK(reading.bytes <= kOverhead * (2 * size + kSpareBytes));
  return reading.message;
}

}  // namespace

TEST_CASE("file_memory: headers of many small things are refused before they are built") {
  const TemporaryFolder folder;
  const std::string path = folder / "a";
  write_header(path, "{" + repeated(400'000, [](const std::string& i) {
                       return "\"" + i + R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
                     }) + "}");
  CHECK_THAT(check_memory(path), Contains("more than twice the memory"));
  write_header(path, R"({"__metadata__":{)" + repeated(2'000'000, [](const std::string& i) {
                       return "\"" + i + "\":\"\"";
                     }) + "}}");
  CHECK_THAT(check_memory(path), Contains("more than twice the memory"));
}

TEST_CASE("file_memory: long texts and large tensors are read within twice the file") {
  const TemporaryFolder folder;
  const std::string path = folder / "a";
  write_header(path, R"({"__metadata__":{"text":")" + std::string(40'000'000, 'x') + "\"}}");
  CHECK(check_memory(path) == "");
  write_header(path, R"({"__metadata__":{"text":")" +
                         repeated(5'000'000, [](const std::string&) { return "\\n"; }) + "\"}}");
  CHECK(check_memory(path) == "");
  write_header(
      path, "{\"" + std::string(30'000'000, 'n') + R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})");
  CHECK(check_memory(path) == "");
  write_safetensors(path, {{{"w", Tensor::zeros({10'000'000})}}, {}});
  CHECK(check_memory(path) == "");
}

TEST_CASE("file_memory: class names that a checkpoint only claims are not believed") {
  const TemporaryFolder folder;
  const std::string path = folder / "a";
  cli::Settings settings;
  settings.network.t = 1;
  ModelOptions options = settings.network;
  std::string names = "x";  // ten million in all, 31 MB
  for (int i = 1; i < 10'000'000; ++i) names += "\nxx";
  Classifier(make_model(settings.model, options, /*seed=*/1), ImageNormalisation(),
             cli::checkpoint_info(settings, {names}))
      .save(path);
  const auto size = static_cast<double>(std::filesystem::file_size(path));
  CHECK(size > 30e6);
  const auto check_use = [&](const std::string& message) {
    const Reading reading =
        measure([&] { cli::load_classifier(read_checkpoint(path), Device::cpu(), Precision::f32); });
    INFO(reading.bytes / size << " times the file");
    CHECK(reading.bytes <= kOverhead * (2 * size + kSpareBytes));
    CHECK_THAT(reading.message, Contains(message));
  };
  check_use("names 10000000 classes, and its last layer has 10 outputs");

  SafetensorsFile file = read_safetensors(path);
  for (NamedTensor& entry : file.tensors) {
    if (entry.name == "model.linear.weight") entry.tensor = Tensor::zeros({10'000'000, 0});
  }
  write_safetensors(path, file);
  check_use("its last layer has 0 channels, that of attention-nano has ");
}

TEST_CASE("file_memory: an image that a small file only claims takes none") {
  const auto check_refused = [](const std::string& file) {
    const Reading reading = measure([&] { parse_image(bytes_of(file), "a"); });
    INFO(reading.bytes << " bytes for " << file.size() << "; " << reading.message);
    CHECK(reading.bytes <= kOverhead * kSpareBytes);
    CHECK_THAT(reading.message, Contains("a: the image is damaged or cut short"));
  };
  const std::string none;
  for (const char depth : {char{8}, char{16}}) {
    for (const bool interlaced : {false, true}) {
      check_refused(png(16384, 16384, depth, 6, none, "", interlaced));
      check_refused(png(16384, 16384, depth, 6, std::string(1 << 20, '\0'), std::string(), interlaced));
    }
  }
  for (const int process : {0xc0, 0xc2}) {
    std::string file = jpeg({.width = 16, .height = 16, .channels = 3, .process = process});
    const size_t size = file.find(std::string("\0\x10\0\x10", 4));
    REQUIRE(size != std::string::npos);
    file.replace(size, 4, std::string("\x40\0\x40\0", 4));
    check_refused(file);
  }
}

TEST_CASE("file_memory: 16 bits are read row by row") {
  constexpr int kSide = 2048;
  const std::string rows(size_t{kSide} * (1 + kSide * 8), '\0');
  const std::string file = png(kSide, kSide, 16, 6, rows);
  const Reading reading = measure([&] { parse_image(bytes_of(file), "a"); });
  INFO(reading.message);
  CHECK(reading.message.empty());
  CHECK(reading.bytes <= kOverhead * (3.0 * kSide * kSide + kSpareBytes));
}
