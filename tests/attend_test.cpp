// cifar_trainer's attend: its pictures, and the arrays beside them.
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
  Picture picture(8, 12);
  picture.write(0, 0, "i?");
  int64_t black = 0;
  for (const uint8_t value : picture.pixels().span<uint8_t>()) black += value == 0 ? 1 : 0;
  CHECK(black == 3 * (2 * 3 + 5));  // the capital I, and nothing for a sign that there is not
}

TEST_CASE("attend: captions fit above their maps") {
  CHECK(caption_of("stages.0.modules.1") == "stages.0.1");
  CHECK(caption_of("a") == "a");
  CHECK(caption_of("outermost.inner.modules.12.more") == "st.inner.12.more");
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
