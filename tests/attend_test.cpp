// cifar_trainer's attend: its pictures, and the arrays beside them.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <filesystem>

#include "array_file.h"
#include "attention_pictures.h"
#include "fovea/models/zoo.h"
#include "image_file.h"
#include "trainer_program.h"

namespace fovea {
using namespace cli;

namespace {

/// The numbers of a .npy file whose header has `shape`.
std::vector<float> npy_numbers(const std::string& path, const std::string& shape) {
  const std::string bytes = file_bytes(path);
  REQUIRE(bytes.starts_with(std::string("\x93NUMPY\x01\x00", 8)));
  const size_t header = 10 + static_cast<uint8_t>(bytes[8]) + 256 * static_cast<uint8_t>(bytes[9]);
  CHECK_THAT(bytes.substr(10, header - 10), Catch::Contains("'shape': (" + shape + ")"));
  std::vector<float> numbers((bytes.size() - header) / sizeof(float));
  std::memcpy(numbers.data(), bytes.data() + header, bytes.size() - header);
  return numbers;
}

AttentionMaps maps_of(const Tensor& mask) {
  return {.path = "a",
          .mask = mask,
          .trunk = Tensor::full(mask.shape(), -2),
          .merged = Tensor::full(mask.shape(), 3)};
}

TEST_CASE("attend: pictures and arrays of every module") {
  const TemporaryFolder folder;
  const std::string checkpoint = finished_run() + "/last.safetensors", out = folder / "masks";
  const Outcome outcome = trainer({"attend", "--checkpoint", checkpoint, "--limit", "2", "--out", out});
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  CHECK_THAT(outcome.out, Catch::Contains("stages.2.modules.0         8x8x128") &&
                              Catch::Contains("residual merge") && Catch::Contains("trained for 3 epochs"));
  const std::vector<float> means = npy_numbers(out + "/masks.npy", "3, 2, 32, 32");
  CHECK(means.size() == 3 * 2 * 32 * 32);
  const std::vector<float> mask = npy_numbers(out + "/stages.0.modules.0.npy", "2, 32, 32, 32");
  double first = 0;
  for (size_t c = 0; c < 32; ++c) first += mask[c] / 32.0;
  CHECK(means[0] == Approx(first));
  for (const float value : mask) REQUIRE((value >= 0 && value <= 1));

  int64_t height = 0;
  for (const char* name : {"overview", "stages.0.modules.0", "stages.1.modules.0", "stages.2.modules.0"}) {
    const Tensor picture = read_image(out + "/" + name + ".png");
    if (height == 0) height = picture.shape(0);
    CHECK(picture.shape(0) == height);  // a row an image
    CHECK(picture.shape(1) > 300);
  }
  CHECK(read_image(out + "/responses.png").shape(2) == 3);
}

TEST_CASE("attend: what it cannot do is said") {
  const TemporaryFolder folder;
  const std::string checkpoint = finished_run() + "/best.safetensors";
  check_failure({"attend", "--checkpoint", checkpoint}, 2, "--out is required");
  check_failure({"attend", "--checkpoint", checkpoint, "--out", folder / "m", "--limit", "65"}, 2,
                "65 images, wanted at most 64");
  write_file(folder / "file", "");
  check_failure({"attend", "--checkpoint", checkpoint, "--out", folder / "file"}, 1,
                "cannot make the folder");
}

TEST_CASE("attend: a map is brought to a size between its points") {
  const std::vector<float> map = {0, 1, 2, 3};
  CHECK(resized_map(map, 2, 2, 2, 2).to_doubles() == std::vector<double>{0, 1, 2, 3});
  CHECK(resized_map(map, 2, 2, 1, 1).to_doubles() == std::vector<double>{1.5});
  CHECK(resized_map(map, 1, 4, 1, 8).to_doubles() ==
        std::vector<double>{0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3});
  CHECK_THROWS_AS(resized_map(map, 2, 3, 1, 1), Error);
}

TEST_CASE("attend: colours rise from dark to bright, and text is drawn") {
  double before = -1;
  for (const double value : {-1.0, 0.25, 0.5, 0.75, 2.0}) {
    const Colour colour = heat(value);
    const double light = 0.3 * colour[0] + 0.59 * colour[1] + 0.11 * colour[2];
    CHECK(light > before);
    before = light;
  }
  CHECK(heat(std::nan("")) == Colour{128, 128, 128});
  const auto black_in = [](const std::string& text, int64_t scale) {
    Picture picture(16, 24);
    picture.write(0, 0, text, {0, 0, 0}, scale);
    int64_t black = 0;
    for (const uint8_t value : picture.pixels().span<uint8_t>()) black += value == 0 ? 1 : 0;
    return black / 3;
  };
  CHECK(black_in("I?", 1) == 2 * 3 + 5);  // and nothing for a sign that there is not
  CHECK(black_in("i", 1) == 1 + 2 + 3 + 3);
  CHECK(black_in("I", 2) == 4 * (2 * 3 + 5));
  for (char letter = 'a'; letter <= 'z'; ++letter) {
    INFO(letter);
    CHECK(black_in({letter}, 1) > 5);
    CHECK(black_in({letter}, 1) < 22);
  }
}

TEST_CASE("attend: what is enlarged a few times keeps its points as squares") {
  const auto values_of = [](const Picture& picture) {
    std::vector<int> red;
    const auto pixels = picture.pixels().span<uint8_t>();
    for (size_t i = 0; i < pixels.size(); i += 3) red.push_back(pixels[i]);
    return red;
  };
  Tensor image = Tensor::full({1, 2, 3}, 10, Dtype::u8);
  image.data<uint8_t>()[3] = 200;
  Picture picture(2, 4);
  picture.draw_image(0, 0, 2, 4, image);
  CHECK(values_of(picture) == std::vector<int>{10, 10, 200, 200, 10, 10, 200, 200});
  picture.draw_image(0, 0, 1, 4, image.slice(0, {1, 1, 3}));
  CHECK(values_of(picture)[3] == 10);
  const std::vector<float> map = {0, 1};
  picture.draw_map(0, 0, 2, 4, map, 1, 2, 0, 1);
  const int dark = heat(0)[0], bright = heat(1)[0];
  CHECK(values_of(picture) == std::vector<int>{dark, dark, bright, bright, dark, dark, bright, bright});
  Picture wide(1, 16);  // eight times: between the points
  wide.draw_map(0, 0, 1, 16, map, 1, 2, 0, 1);
  CHECK(values_of(wide)[6] < values_of(wide)[7]);
}

TEST_CASE("attend: a module's picture has features before, mask and features after side by side") {
  const auto full = [](double value, double corner) {
    Tensor map = Tensor::full({1, 32, 32, 1}, value);
    map.data<float>()[0] = static_cast<float>(corner);
    return map;
  };
  const AttentionMaps maps{.path = "a", .mask = full(0.75, 0.25), .trunk = full(0, 0), .merged = full(1, 3)};
  const Picture picture = draw_module(maps, Tensor::zeros({1, 32, 32, 3}, Dtype::u8), "title");
  // The colours of a row of pixels through all maps, far from that corner.
  std::vector<Colour> colours;
  for (int64_t w = 0; w < picture.width(); ++w) {
    const auto* at = picture.pixels().data<uint8_t>() + ((picture.height() - 20) * picture.width() + w) * 3;
    const Colour colour{at[0], at[1], at[2]}, white{255, 255, 255};
    if (colour != white && (colours.empty() || colours.back() != colour)) colours.push_back(colour);
  }
  const Colour image{0, 0, 0};
  CHECK(colours == std::vector<Colour>{image, heat(1), heat(0), heat(1), heat(1.0 / 3)});
}

TEST_CASE("attend: captions fit above their maps") {
  CHECK(caption_of("stages.0.modules.1") == "stages.0.modules.1");  // as its file and the table have it
  CHECK(caption_of("a") == "a");
  CHECK(caption_of("outermost.inner.modules.12.more") == "er.modules.12.more");
  AttentionMaps maps = maps_of(Tensor::zeros({1, 4, 4, 1}));
  const Tensor images = Tensor::zeros({1, 32, 32, 3}, Dtype::u8);
  const int64_t width = draw_overview({maps}, images, "").width();
  maps.path = "stages.0.modules.0";
  CHECK(draw_overview({maps}, images, "").width() == width + 18 * 6 - 96);  // none is cut at the edge
}

TEST_CASE("attend: letters go below the line where they do on paper") {
  const auto rows_of = [](char letter) {
    Picture picture(Picture::kGlyphHeight, Picture::kGlyphWidth);
    picture.write(0, 0, {&letter, 1});
    std::vector<int64_t> rows;  // with a point
    for (int64_t h = 0; h < picture.height(); ++h) {
      const auto row = picture.pixels().span<uint8_t>().subspan(static_cast<size_t>(h * 18), 18);
      if (std::find(row.begin(), row.end(), 0) != row.end()) rows.push_back(h);
    }
    return rows;
  };
  for (char letter = 'a'; letter <= 'z'; ++letter) {
    INFO(letter);
    const bool is_below = std::string("gjpqy").find(letter) != std::string::npos;
    CHECK(rows_of(letter).back() == (is_below ? 8 : 6));
  }
  for (const char digit : std::string("0123456789")) CHECK(rows_of(digit).back() == 6);
  CHECK(rows_of('g').front() == rows_of('a').front());
}

TEST_CASE("attend: each image has its name, and a mask that is nearly flat is called so") {
  CHECK(short_name("photos/cat.jpg", 16) == "cat.jpg");
  CHECK(short_name("IMG_20240917_123456.jpg", 16) == "IMG_202..456.jpg");
  CHECK(short_name("test 12", 16) == "test 12");
  CHECK(short_name("caf\xc3\xa9.png", 16) == "caf*.png");
  const auto dark_below = [](const Picture& picture, int64_t from) {  // at the left, under the last image
    int64_t points = 0;
    for (int64_t h = from; h < picture.height(); ++h) {
      for (int64_t w = 0; w < 96; ++w)
        points += picture.pixels().data<uint8_t>()[(h * picture.width() + w) * 3] == 0 ? 1 : 0;
    }
    return points;
  };
  const auto map_of = [](double value, double corner) {
    Tensor map = Tensor::full({1, 32, 32, 1}, value);
    map.data<float>()[0] = static_cast<float>(corner);
    return AttentionMaps{.path = "stages.0.modules.0", .mask = map, .trunk = map, .merged = map};
  };
  const Tensor images = Tensor::full({1, 32, 32, 3}, 255, Dtype::u8);
  const AttentionMaps varying = map_of(0.5, 0.61), flat = map_of(0.5, 0.59);
  const Picture without = draw_module(varying, images, "title"),
                with = draw_module(varying, images, "title", {"cat.jpg"});
  CHECK(with.height() > without.height());
  CHECK(dark_below(without, without.height() - 20) == 0);
  CHECK(dark_below(with, with.height() - 20) > 30);
  CHECK(dark_below(draw_overview({varying}, images, "title", {"cat.jpg"}), 0) >
        dark_below(draw_overview({varying}, images, "title"), 0));

  CHECK(mean_span(flat) == Approx(0.09));
  CHECK(flat_text({varying}).empty());
  CHECK_THAT(flat_text({varying, flat}), Catch::EndsWith(": stages.0.modules.0 (spans 0.090)"));
  CHECK(draw_module(flat, images, "title").height() > without.height());
  CHECK(draw_overview({varying, flat}, images, "title").height() >
        draw_overview({varying, varying}, images, "title").height());
}

TEST_CASE("attend: the spread of a mask by hand") {
  // One image of 1x2 places and two channels: 0, 1 in the first channel, 0.5, 0.5 in the second.
  const Tensor mask = Tensor::from<float>({0, 0.5, 1, 0.5}, {1, 1, 2, 2});
  const AttentionMaps maps = maps_of(mask);
  const MaskSpread spread = spread_of(maps);
  CHECK(spread.mean == Approx(0.5));
  CHECK((spread.least == 0 && spread.greatest == 1));
  CHECK(spread.over_positions == Approx(0.25));
  CHECK(spread.over_channels == Approx(0).margin(1e-9));
  CHECK((spread.trunk == Approx(2) && spread.merged == Approx(3)));
  CHECK(mean_mask(maps).to_doubles() == std::vector<double>{0.25, 0.75});
  CHECK(varying_channels(maps, 5) == std::vector<int64_t>{0, 1});
  CHECK(varying_channels(maps, 1) == std::vector<int64_t>{0});
}

TEST_CASE("attend: NumPy's tuple of one has a comma") {
  CHECK_THAT(npy_bytes(Tensor::zeros({3})), Catch::Contains("'shape': (3, )"));
  CHECK_THAT(npy_bytes(Tensor::zeros({2, 3})), Catch::Contains("'shape': (2, 3)"));
}

}  // namespace
}  // namespace fovea
