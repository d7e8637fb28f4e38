// What is no image, or no whole one: each is refused with the file's name, what was found, and what to do.
#include <catch2/catch.hpp>

#include "golden_images.h"
#include "image_file.h"
#include "jpeg_file.h"
#include "png_file.h"

using namespace fovea;
using Catch::Contains;
using namespace std::string_literals;

namespace {

struct BadFile {
  std::string contents, found;
};

std::string stored_jpeg(const std::string& name) {
  const auto file = golden_images("jpeg." + name + ".file").at(0).tensor;
  const auto bytes = file.span<uint8_t>();
  return {bytes.begin(), bytes.end()};
}

// A box of ISO's, as HEIC and AVIF begin with.
std::string box(const std::string& brand) {
  return "\0\0\0\x18"
         "ftyp"s +
         brand + "\0\0\0\0mif1heic"s;
}

std::string small_png() {
  return png(2, 2, 8, 2, std::string(14, '\0'));
}

std::vector<BadFile> other_kinds() {
  return {{"", "the file is empty"},
          {"GIF87a\1\0\1\0"s, "a GIF image found"},
          {"GIF89a\1\0\1\0"s, "a GIF image found"},
          {"RIFF\x24\0\0\0WEBPVP8 "s, "a WebP image found"},
          {box("heic"), "a HEIC image found"},
          {box("heix"), "a HEIC image found"},
          {box("mif1"), "a HEIF image found"},
          {box("avif"), "an AVIF image found"},
          {box("crx "), "a camera's raw image found"},
          {box("isom"), "an MP4 or QuickTime video found"},
          {"BM\x36\0\0\0"s, "a BMP image found"},
          {"II*\0\x08\0\0\0"s, "a TIFF or a camera's raw image found"},
          {"MM\0*\0\0\0\x08"s, "a TIFF or a camera's raw image found"},
          {"%PDF-1.7\n", "a PDF document found"},
          {"%!PS-Adobe-3.0", "a PostScript document found"},
          {"<svg xmlns=", "an SVG drawing found"},
          {"<?xml version=", "an XML document or SVG drawing found"},
          {"<!DOCTYPE html>", "a web page, and no image, found"},
          {"<html><head>", "a web page, and no image, found"},
          {"8BPS\0\1"s, "a Photoshop document found"},
          {"gimp xcf v011", "a GIMP document found"},
          {"\0\0\0\x0cjP  \r\n\x87\n"s, "a JPEG 2000 image found"},
          {"\xff\x4f\xff\x51\0"s, "a JPEG 2000 image found"},
          {"\0\0\0\x0cJXL \r\n\x87\n"s, "a JPEG XL image found"},
          {"\xff\x0a\x12", "a JPEG XL image found"},
          {"\0\0\1\0\1\0"s, "an icon (ICO) found"},
          {"P5\n2 2\n255\n1234", "a PGM image found"},
          {"P6\n2 2\n255\n", "a PPM image found"},
          {"\x93NUMPY\1\0", "an array of NumPy found"},
          {"PK\3\4\x14", "a ZIP archive found"},
          {"\x1f\x8b\x08", "a gzip archive found"},
          {"\x80\2}q\1", "a pickle of Python's found"},
          {"\x7f"
           "ELF\2",
           "a program found"},
          {std::string(4096, '\0'), "a file that begins with zeros"},
          {"cat", "a text file found"},
          {"\xe2\x80\x9c"
           "Ol\xc3\xa9\xe2\x80\x9d",
           "a text file found"},
          {"cat\x01", "a file that begins with 63 61 74 01 found"},
          {"caf\xc3", "a file that begins with 63 61 66 c3 found"},
          {"caf\xe9 au lait", "a file that begins with 63 61 66 e9 20 61 75 20 found"},
          {"\x2a\0\0\0\0\0\0\0{\"a\":"s, "a safetensors file found"},
          {"\n", "a text file found"},
          {"\xff", "a file that begins with ff found"},
          {"\xff\xd8", "a file that begins with ff d8 found"},
          {"JFIF, but no JPEG", "a text file found"}};
}

std::vector<BadFile> damaged_files() {
  const std::string photo = stored_jpeg("420"), progressive = stored_jpeg("progressive"),
                    drawing = small_png();
  const auto with = [](std::string file, size_t at, int byte) {
    file.at(at) = static_cast<char>(byte);
    return file;
  };
  const auto without = [](std::string file, size_t at, size_t count) { return file.erase(at, count); };
  const size_t scan = photo.find("\xff\xda");
  const std::string damaged = "the image is damaged or cut short";
  return {{drawing.substr(0, 4), "not a PNG image"},
          {drawing.substr(0, 8), "not a PNG image"},
          {drawing.substr(0, 40), "not a PNG image"},
          {without(drawing, 4, 1), "not a PNG image"},  // as a transfer that turned \r\n into \n
          {png(65536, 1, 1, 0, ""), "65536x1 pixels, expected at most"},
          {with(drawing, 24, 7), "not a PNG image"},  // bits
          {with(drawing, 25, 1), "not a PNG image"},  // colours
          {with(drawing, 45, 0), damaged},            // in what zlib has
          {photo.substr(0, 3), damaged},
          {photo.substr(0, 100), damaged},
          {photo.substr(0, photo.size() / 2), damaged},
          {photo.substr(0, photo.size() - 1), damaged},
          {progressive.substr(0, progressive.size() - 60), damaged},
          {without(photo, scan + 30, 40), damaged},
          {photo.substr(0, scan + 40) + std::string(200, '\0') + "\xff\xd9", damaged},
          {photo.substr(0, scan) + "\xff\xd9", damaged},
          {"\xff\xd8\xff\xd9", damaged},
          {"\xff\xd8\xff\xe0\0\x10JFIF\0"s, damaged},
          {jpeg({.width = 0}), damaged},
          {jpeg({.height = 0}), damaged},
          {jpeg({.channels = 2}), "2 channels found"},
          {jpeg({.channels = 4}), "CMYK colours found"},
          {jpeg({.channels = 4, .adobe = 0}), "CMYK colours found"},
          {jpeg({.channels = 4, .adobe = 2}), "CMYK colours found"},
          {jpeg({.process = 0xc1, .precision = 12}), "a kind of JPEG that is not read"},
          {jpeg({.process = 0xc6}), "a kind of JPEG that is not read"},
          {jpeg({.width = 65501}), "a kind of JPEG that is not read"},
          {jpeg({.has_end = false}), damaged}};
}

}  // namespace

TEST_CASE("bad images: 72 files are refused by name, with what they are") {
  std::vector<BadFile> files = other_kinds();
  for (BadFile& file : damaged_files()) files.push_back(std::move(file));
  CHECK(files.size() == 72);
  TemporaryFolder folder;
  for (const BadFile& file : files) {
    INFO(printable(file.contents, 40) << ", " << file.found);
    const std::string path = folder / "cat.jpg";
    write_file(path, file.contents);
    const std::string message = message_of<DataError>([&] { read_image(path); });
    CHECK_THAT(message, Contains(path) && Contains(file.found) && Contains("; "));
  }
}

TEST_CASE("bad images: what is no file") {
  TemporaryFolder folder;
  CHECK_THAT(message_of<DataError>([&] { read_image(folder / "none.jpg"); }),
             Contains("none.jpg: no such file"));
  CHECK_THAT(message_of<DataError>([&] { read_image(folder.path().string()); }),
             Contains(folder.path().string()));
  CHECK_THAT(message_of<DataError>([] { read_image("/dev/null"); }), Contains("/dev/null"));
}

TEST_CASE("bad images: the kind is known by the first bytes, whatever the name") {
  TemporaryFolder folder;
  write_file(folder / "photo.png", stored_jpeg("444"));
  write_file(folder / "drawing.jpg", small_png());
  CHECK(read_image(folder / "photo.png").shape() == Shape{19, 29, 3});
  CHECK(read_image(folder / "drawing.jpg").shape() == Shape{2, 2, 3});
}
