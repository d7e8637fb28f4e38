#include "fovea/data/npy.h"

#include "npy_files.h"
#include "test_files.h"

using namespace fovea;
using Catch::Contains;
using namespace std::string_literals;

namespace {

NpyHeader header_of(const std::string& file) {
  return parse_npy_header(file, file.size(), "a.npy");
}

struct Refused {
  std::string file, found;
};

}  // namespace

TEST_CASE("npy: a header as NumPy writes it, by any version") {
  const std::string file = npy("<i4", "(2, 3)", std::string(24, 'x'));
  const NpyHeader header = header_of(file);
  CHECK(header.type == "<i4");
  CHECK(header.shape == Shape{2, 3});
  CHECK(header.begin == file.size() - 24);
  CHECK(header_of(npy("|u1", "()", "x")).shape == Shape{});
  CHECK(header_of(npy("|u1", "(5,)", "12345", /*is_fortran=*/true)).shape == Shape{5});
  CHECK(header_of(npy_of_header("{\"shape\":(1,),\"fortran_order\":False,\"descr\":\"|b1\"}", "x")).type ==
        "|b1");
  for (const char version : {'\2', '\3'}) {  // whose length has four bytes
    std::string text = "{'descr': '|u1', 'fortran_order': False, 'shape': (1,), }\n";
    const std::string newer =
        "\x93NUMPY"s + version + "\0"s + static_cast<char>(text.size()) + "\0\0\0"s + text + "x";
    CHECK(header_of(newer).shape == Shape{1});
  }
}

TEST_CASE("npy: what is no such file, or another array, is refused with what it is") {
  const std::string good = npy("|u1", "(5,)", "12345");
  const std::vector<Refused> files = {
      {"", "the file is empty, wanted an array of NumPy"},
      {"\x89PNG\r\n\x1a\n", "a PNG image found"},
      {"PK\3\4", "a ZIP archive found"},
      {"\x93NUMPY", "the file is cut short in its header"},
      {good.substr(0, 11), "the file is cut short in its header"},
      {good.substr(0, 60), "the file is cut short or damaged"},
      {good.substr(0, good.size() - 1), "wants 5 bytes, but 4 are in the file"},
      {good + "6", "wants 5 bytes, but 6 are in the file"},
      {"\x93NUMPY\x07\0\x10\0\0\0"s, "format 7 found"},
      {npy_of_header("", ""), "a header found that NumPy does not write"},
      {npy_of_header("{}", ""), "a header found that NumPy does not write"},
      {npy_of_header("{'descr': '|u1', 'shape': (1,)}", "x"), "a header found that NumPy does not write"},
      {npy_of_header("{'descr': '|u1', 'fortran_order': 0, 'shape': (1,)}", "x"), "NumPy does not write"},
      {npy_of_header("{'descr': '|u1', 'fortran_order': False, 'shape': (-1,)}", "x"),
       "NumPy does not write"},
      {npy_of_header("{'descr': '|u1', 'fortran_order': False, 'shape': (1,)} + f()", "x"), "NumPy does not"},
      {npy_of_header("{'descr': '|u1', 'descr': '|u1', 'fortran_order': False, 'shape': (1,)}", "x"),
       "does not"},
      {npy_of_header("{'descr': [('a', '<u1')], 'fortran_order': False, 'shape': (1,), }", "x"), "records"},
      {npy("|O", "(1,)", "x"), "type \"|O\" found, wanted numbers"},
      {npy("<U5", "(1,)", std::string(20, 'x')), "type \"<U5\" found, wanted numbers"},
      {npy("<M8[ns]", "(1,)", "12345678"), "found, wanted numbers"},
      {npy("u", "(1,)", "x"), "found, wanted numbers"},
      {npy("<f99999999999999999999", "(1,)", "x"), "found, wanted numbers"},
      {npy("|u1", "(2, 2)", "1234", true),
       "Fortran's order found, wanted C's; save numpy.ascontiguousarray(a)"},
      {npy(">i8", "(1,)", "12345678"), "the highest byte first (\">i8\") found"},
      {npy("|u1", "(1, 1, 1, 1, 1, 1, 1)", "x"), "7 axes found"},
      {npy("<f8", "(9223372036854775807, 9223372036854775807)", "x"), "more than 2^62 bytes"}};
  for (const Refused& refused : files) {
    INFO(refused.found);
    CHECK_THAT(message_of<DataError>([&] { header_of(refused.file); }),
               Contains("npy: a.npy: ") && Contains(refused.found));
  }
}

TEST_CASE("npy: images are read one by one, labels of any width") {
  const TemporaryFolder folder;
  write_file(folder / "i.npy", npy("|u1", "(3, 1, 2, 3)", "abcdefghijklmnopqr"));
  const NpyImages images(folder / "i.npy");
  CHECK(images.shape() == Shape{3, 1, 2, 3});
  CHECK(images.read(0).shape() == Shape{1, 2, 3});
  CHECK(images.read(2).span<uint8_t>()[5] == 'r');
  CHECK(images.read(1).span<uint8_t>()[0] == 'g');
  CHECK_THROWS_AS(images.read(3), Error);
  const std::string zeros(8, '\0');
  for (const std::string type : {"|u1", "|i1", "<u2", "<i2", "<u4", "<i4", "<u8", "<i8"}) {
    INFO(type);
    const size_t bytes = static_cast<size_t>(type[2] - '0');
    write_file(folder / "l.npy", npy(type, "(3,)",
                                     "\x02" + zeros.substr(0, bytes - 1) + "\x64" +
                                         zeros.substr(0, bytes - 1) + zeros.substr(0, bytes)));
    CHECK(read_npy_labels(folder / "l.npy", 3) == std::vector<int32_t>{2, 100, 0});
  }
}

TEST_CASE("npy: an array that is no images says how to make it some") {
  const TemporaryFolder folder;
  const auto message = [&](const std::string& type, const std::string& shape, size_t bytes) {
    write_file(folder / "i.npy", npy(type, shape, std::string(bytes, 'x')));
    return message_of<DataError>([&] { NpyImages(folder / "i.npy"); });
  };
  CHECK_THAT(message("<f4", "(1, 2, 2, 3)", 48), Contains("(a * 255).round().astype('uint8')"));
  CHECK_THAT(message("<i8", "(1, 2, 2, 3)", 96), Contains("a.astype('uint8')"));
  CHECK_THAT(message("|u1", "(1, 3, 2, 2)", 12), Contains("a.transpose(0, 2, 3, 1)"));
  CHECK_THAT(message("|u1", "(1, 2, 2, 4)", 16), Contains("a[..., :3]"));
  CHECK_THAT(message("|u1", "(1, 2, 2, 1)", 4), Contains("a.repeat(3, axis=3)"));
  CHECK_THAT(message("|u1", "(2, 2, 3)", 12), Contains("a[None] of one image"));
  CHECK_THAT(message("|u1", "(12,)", 12), Contains("wanted uint8 (\"|u1\") [N, H, W, 3]"));
  CHECK_THAT(message("|u1", "(0, 2, 2, 3)", 0), Contains("an empty array [0, 2, 2, 3] found"));
  CHECK_THAT(message("|u1", "(1, 65536, 1, 3)", 65536 * 3),
             Contains("1x65536 pixels found, wanted at most 65535"));
}
