#pragma once

#include <openssl/evp.h>

#include <catch2/catch.hpp>
#include <cstdio>
#include <filesystem>

#include "fetch.h"
#include "gzipped.h"
#include "http_server.h"
#include "tar_file.h"
#include "test_files.h"

namespace fovea {

inline std::string sha256(const std::string& text) {
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
inline CifarFormat small_format() {
  CifarFormat format = cifar10_format();
  format.train_rows = format.test_rows = 40;
  return format;
}

inline std::string rows(uint32_t seed) {
  std::string text(40 * 3073, '\0');
  for (char& c : text) c = static_cast<char>((seed = seed * 1664525u + 1013904223u) >> 24);
  for (size_t row = 0; row < 40; ++row) text[row * 3073] = static_cast<char>(row % 10);
  return text;
}

inline std::string archive_bytes() {
  const CifarFormat format = small_format();
  std::string tar =
      tar_entry(format.folder + "/", "", '5') + tar_entry(format.folder + "/readme.html", "<p>read</p>");
  for (uint32_t i = 0; i < 5; ++i) tar += tar_entry(format.folder + "/" + format.train_files[i], rows(i));
  tar += tar_entry(format.folder + "/test_batch.bin", rows(5));
  tar += tar_entry(format.folder + "/batches.meta.txt", "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n\n");
  return gzipped(tar + tar_end());
}

/// A server that has the archive, a folder to fetch it into, and the request for it.
struct FetchFixture {
  std::string bytes = archive_bytes();
  HttpServer server{bytes};
  TemporaryFolder cache;
  ScopedVariable no_proxy{"no_proxy", "*"};
  FetchRequest request{.archives = {{.format = small_format(),
                                     .file = "small.tar.gz",
                                     .digest = sha256(bytes),
                                     .bytes = std::ssize(bytes),
                                     .addresses = {server.url()}}},
                       .folder = cache / "cache"};
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

}  // namespace fovea
