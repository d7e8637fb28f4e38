// Whatever names and texts a file holds: the message of its error can be shown.
#include <catch2/catch.hpp>
#include <cstring>

#include "fovea/core/safetensors.h"
#include "fovea/data/datasets.h"
#include "fovea/models/zoo.h"
#include "fovea/training/checkpoint.h"
#include "fovea/training/non_finite.h"
#include "gzipped.h"
#include "image_file.h"
#include "settings.h"
#include "setup.h"
#include "tar_file.h"
#include "test_files.h"
#include "unpack.h"

using namespace fovea;
using Catch::Contains;

namespace {

// What turns a terminal red, what is no UTF-8, C1's way to begin a command, and right to left.
const std::string kBad = "\x1b[31m\xff\xc2\x9b\xe2\x80\xae", kShown = "\\x1b[31m\\xff\\u{009b}\\u{202e}";
const std::string kBadText = "\x1b[31m\xc2\x9b\xe2\x80\xae",
                  kShownText = "\\x1b[31m\\u{009b}\\u{202e}";  // UTF-8
const std::string kBadName = "\xc2\x9b\xe2\x80\xae", kShownName = "\\u{009b}\\u{202e}";

/// The message of the Error that `body` throws, which must be printable, short, and as it is shown.
template <class Body>
std::string shown(const Body& body) {
  const std::string message = message_of<Error>(body);
  CHECK(message.size() < 2000);
  CHECK(message == printable(message));
  return message;
}

std::string json_text(const std::string& text) {
  std::string result;
  for (const char c : text) result += c == '\x1b' ? std::string("\\u001b") : std::string(1, c);
  return "\"" + result + "\"";
}

SafetensorsFile parse(const std::string& header, size_t data_bytes = 0) {
  std::string bytes(8, '\0');
  const uint64_t length = header.size();
  std::memcpy(bytes.data(), &length, 8);
  bytes += header + std::string(data_bytes, '\0');
  return parse_safetensors(bytes_of(bytes), "a.safetensors");
}

}  // namespace

TEST_CASE("error_texts: an error is printable whatever is put into it") {
  CHECK(std::string(DataError("unpack: " + kBad).what()) == "unpack: " + kShown);
  CHECK(std::string(Error("two\nlines\tand a tab").what()) == "two\nlines\tand a tab");
}

TEST_CASE("error_texts: names and texts of a safetensors file") {
  const std::string tensor = R"({"dtype":"U8","shape":[2],"data_offsets":[0,1]})";
  CHECK_THAT(shown([&] { parse("{" + json_text(kBadName) + ":" + tensor + "}", 1); }), Contains(kShownName));
  CHECK_THAT(shown([&] { parse("{" + json_text(std::string(100'000, 'n')) + ":" + tensor + "}", 1); }),
             Contains("nnn\"... (100000 bytes)"));
  CHECK_THAT(shown([&] { parse(R"({"w":{"dtype":)" + json_text(kBadText) + "}}"); }), Contains(kShownText));
  CHECK_THAT(shown([&] { parse(R"({"w":{"dtype":)" + json_text(std::string(100'000, 'n')) + "}}"); }),
             Contains("nnn\"... (100000 bytes)"));
  CHECK_THAT(shown([&] { parse(R"({"w":{)" + json_text(kBadText) + ":1}}"); }), Contains(kShownText));
  CHECK_THAT(shown([&] { parse(R"({"w":{"shape":[)" + std::string(100'000, '9') + "]}}"); }),
             Contains("found 9999"));
  CHECK_THAT(shown([&] { parse("{\"" + kBad); }), Contains("not valid JSON at offset 10"));
  CHECK_THAT(shown([&] { parse(R"({"__metadata__":{"xxh3_128.":)" + json_text(kBadText) + "}}"); }),
             Contains(kShownText));
}

TEST_CASE("error_texts: names of weights that do not fit or are not finite, and texts of a checkpoint") {
  const std::string long_name = kBadName + std::string(100'000, 'n');
  const std::vector<NamedTensor> weights{{long_name, Tensor::full({1}, NAN)}};
  CHECK_THAT(shown([&] { copy_by_name(weights, {}, "a"); }), Contains(kShownName) && Contains("bytes)"));
  CHECK_THAT(shown([&] { check_finite(weights, "load: ", "advice"); }), Contains(kShownName));
  const TemporaryFolder folder;
  write_safetensors(folder / "a", {{}, {{"format", kBadText + std::string(100'000, 'n')}}});
  CHECK_THAT(shown([&] { read_checkpoint(folder / "a"); }), Contains(kShownText));
  CHECK_THAT(shown([&] { read_checkpoint(folder / kBad); }), Contains(kShown));
  SafetensorsFile file{{}, {{"format", "fovea-checkpoint-1"}, {"normalisation.mean.0", kBadText}}};
  write_safetensors(folder / "a", file);
  CHECK_THAT(shown([&] { read_checkpoint(folder / "a"); }), Contains(kShownText));
  file.tensors.push_back({long_name, Tensor::zeros({1})});
  write_safetensors(folder / "a", file);
  CHECK_THAT(shown([&] { read_checkpoint(folder / "a"); }), Contains(kShownName));
}

TEST_CASE("error_texts: keys, values and syntax of settings") {
  const auto message = [](const std::string& text) {
    return shown([&] {
      cli::Settings settings;
      cli::apply_toml(settings, text, "a.toml");
    });
  };
  const std::string long_text(100'000, 'n');
  CHECK_THAT(message(R"("\u001b[31m" = 1)"), Contains("\\x1b[31m"));
  CHECK_THAT(message(long_text + " = 1"), Contains("bytes)"));
  CHECK_THAT(message(R"(schedule = "\u001b[31m\u009b")"), Contains("\\x1b[31m\\u{009b}"));
  CHECK_THAT(message("schedule = \"" + long_text + "\""), Contains("bytes)"));
  std::string numbers = "1";
  for (int i = 0; i < 30'000; ++i) numbers += ",2";
  CHECK_THAT(message("lr = [" + numbers + "]"), Contains("bytes)"));
  for (const std::string& text :
       {std::string("lr = \x1b[31m"), "lr = \"" + kBad, "a." + long_text + " =", std::string("\x1b = 1")}) {
    message(text);
  }
}

TEST_CASE("error_texts: paths in an archive, bytes of an image, names of everything else") {
  const TemporaryFolder folder;
  write_bytes(folder / "a",
              gzipped(tar_entry(kBad, std::string(1000, 'x')).substr(0, 700) + std::string(324, 'x')));
  CHECK_THAT(shown([&] { unpack_tar_gz(folder / "a", {}, folder.path().string(), {}); }), Contains(kShown));
  CHECK_THAT(shown([&] { parse_png(bytes_of("\x89PNG\r\n\x1a\n" + kBad), kBad); }), Contains(kShown));
  const std::string long_bad = kBad + std::string(100'000, 'n');
  for (const auto& make : std::vector<std::function<void()>>{
           [&] { make_model(long_bad, {}, 1); }, [&] { find_dataset(long_bad, ""); },
           [&] { parse_enum<Dtype>(long_bad); }, [&] { parse_device(long_bad); },
           [&] { parse_enum<OptimiserKind>(long_bad); }, [&] { parse_enum<Precision>(long_bad); },
           [&] { parse_enum<ScheduleKind>(long_bad); }, [&] { parse_enum<Attention>(long_bad); },
           [&] { parse_enum<Merge>(long_bad); }, [&] { parse_enum<MaskKind>(long_bad); }}) {
    CHECK_THAT(shown(make), Contains(kShown) && Contains("bytes)"));
  }
}
