#include "fovea/core/safetensors.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstring>

#include "fovea/core/check.h"
#include "fovea/core/random.h"
#include "temporary_folder.h"

namespace fovea {
namespace {

SafetensorsFile parse(const std::string& bytes) {
  return parse_safetensors(std::as_bytes(std::span(bytes.data(), bytes.size())), "test");
}

/// The bytes of a file with this header and `data_bytes` zeros.
std::string file_of(const std::string& header, size_t data_bytes) {
  std::string bytes(8, '\0');
  const uint64_t length = header.size();
  std::memcpy(bytes.data(), &length, 8);
  return bytes + header + std::string(data_bytes, '\0');
}

std::string message_of(const std::string& bytes) {
  try {
    parse(bytes);
  } catch (const CheckpointError& error) {
    return error.what();
  }
  return "accepted";
}

SafetensorsFile small_file() {
  return {
      {{"weight", normal({3, 5}, Random(1, Purpose::test))}, {"bias", Tensor::from<float>({1, 2, 3}, {3})}},
      {{"model", "tiny"}}};
}

TEST_CASE("safetensors: a file written by hand") {
  std::string bytes =
      file_of(R"({"__metadata__":{"k":"v"},"b":{"dtype":"I32","shape":[2],"data_offsets":[0,8]}})", 8);
  bytes[bytes.size() - 8] = 7;
  bytes[bytes.size() - 4] = 9;
  const SafetensorsFile file = parse(bytes);
  REQUIRE(file.tensors.size() == 1);
  CHECK(file.tensors[0].name == "b");
  CHECK(file.tensors[0].tensor.str() == "i32[2]");
  CHECK(file.tensors[0].tensor.to_doubles() == std::vector<double>{7, 9});
  CHECK(file.metadata == std::map<std::string, std::string>{{"k", "v"}});
  CHECK(parse(file_of("{}", 0)).tensors.empty());
}

TEST_CASE("safetensors: what is written is read again") {
  const TemporaryFolder folder;
  SafetensorsFile file;
  file.metadata = {{"model", "attention-nano"}, {"text", "\"quoted\"\nsecond line \xc3\xa9"}};
  int number = 0;
  for (const Dtype dtype :
       {Dtype::u8, Dtype::f32, Dtype::f64, Dtype::bf16, Dtype::f16, Dtype::i32, Dtype::i64}) {
    for (const Shape& shape : {Shape{}, Shape{3}, Shape{2, 0, 4}, Shape{1, 2, 1, 3, 1, 2}}) {
      file.tensors.push_back({str(dtype, " ", number++), Tensor::full(shape, number, dtype)});
    }
  }
  write_safetensors(folder / "a.safetensors", file);
  const SafetensorsFile read = read_safetensors(folder / "a.safetensors");
  CHECK(read.metadata == file.metadata);
  REQUIRE(read.tensors.size() == file.tensors.size());
  for (const NamedTensor& entry : file.tensors) {
    INFO(entry.name);
    const Tensor* found = read.find(entry.name);
    REQUIRE(found != nullptr);
    CHECK(found->str() == entry.tensor.str());
    CHECK(found->to_doubles() == entry.tensor.to_doubles());
  }
  CHECK(read.find("nothing") == nullptr);

  write_safetensors(folder / "b.safetensors", read);
  CHECK(file_bytes(folder / "a.safetensors") == file_bytes(folder / "b.safetensors"));
  const std::string bytes = file_bytes(folder / "a.safetensors");
  uint64_t header_length = 0;
  std::memcpy(&header_length, bytes.data(), 8);
  CHECK(header_length % 8 == 0);
}

TEST_CASE("safetensors: headers that are refused") {
  const auto entry = [](const std::string& fields) { return file_of("{\"w\":{" + fields + "}}", 8); };
  struct Bad {
    std::string bytes, reason;
  };
  const std::string deep_list(1'000'000, '['),
      good = R"("w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]})";
  std::string deep_object;
  for (int i = 0; i < 100'000; ++i) deep_object += "{\"dtype\":";
  std::string long_header = file_of("{}", 0), huge_header = long_header;
  long_header[0] = 3;
  std::memset(huge_header.data(), 0xff, 8);
  const std::vector<Bad> table{
      {"", "wanted at least 8"},
      {long_header, "only 2 bytes follow"},
      {huge_header, "at most 100000000"},
      {file_of("", 0), "does not begin with {"},
      {file_of(" {}", 0), "does not begin with {"},
      {file_of("[]", 0), "does not begin with {"},
      {file_of("{", 0), "not valid JSON at offset 9"},
      {file_of("{} x", 0), "not valid JSON"},
      {file_of("{}{}", 0), "not valid JSON"},
      {file_of(std::string("{}\0{", 4), 0), "NUL at offset 10"},
      {file_of("{\"\xff\":{}}", 0), "not valid JSON"},
      {file_of("{\"w\":" + deep_list, 0), "list in the place"},
      {file_of(deep_object, 0), "object inside"},
      {file_of(R"({"w":1})", 0), "number in the place"},
      {file_of(R"({"w":"x"})", 0), "text in the place"},
      {file_of(R"({"w":null})", 0), "null in the place"},
      {file_of(R"({"w":true})", 0), "boolean in the place"},
      {file_of("{" + good + "," + good + "}", 8), "twice"},
      {file_of(R"({"":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 8), "empty or has control"},
      {file_of(R"({"a\u0000b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 8),
       "empty or has control"},
      {file_of(R"({"__metadata__":{"a":1}})", 0), "number in the place"},
      {file_of(R"({"__metadata__":{"a":{}}})", 0), "object inside"},
      {file_of(R"({"__metadata__":{"a":"1","a":"2"}})", 0), "twice"},
      {file_of(R"({"__metadata__":{},"__metadata__":{}})", 0), "twice"},
      {file_of(R"({"__metadata__":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 8),
       "list in the place"},
      {file_of(R"({"__metadata__":{"xxh3_128.w":"00"}})", 0), "\"w\" was taken out"},
      {file_of(R"({"__metadata__":{"xxh3_128.":"00"}})", 0),
       "the metadata was changed after Fovea wrote the file: XXH3-128"},
      {entry(R"("dtype":"F32","shape":[2])"), "field is missing"},
      {entry(R"("dtype":"F32","shape":[2],"data_offsets":[0,8],"more":1)"), "unknown field \"more\""},
      {entry(R"("dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8])"), "\"dtype\" is there twice"},
      {entry(R"("dtype":"I17","shape":[4],"data_offsets":[0,8])"), "dtype is \"I17\""},
      {entry(R"("dtype":"I16","shape":[2],"data_offsets":[0,8])"), "8 bytes are stored for I16[2], wanted 4"},
      {entry(R"("dtype":["F32"],"shape":[2],"data_offsets":[0,8])"), "list in the place"},
      {entry(R"("dtype":"F32","shape":"2","data_offsets":[0,8])"), "text in the place"},
      {entry(R"("dtype":"F32","shape":2,"data_offsets":[0,8])"), "number in the place"},
      {entry(R"("dtype":"F32","shape":[-2],"data_offsets":[0,8])"), "found -2"},
      {entry(R"("dtype":"F32","shape":[2.0],"data_offsets":[0,8])"), "found 2.0"},
      {entry(R"("dtype":"F32","shape":[99999999999999999999],"data_offsets":[0,8])"), "at most 64 bits"},
      {entry(R"("dtype":"F32","shape":[1,1,1,1,1,1,2],"data_offsets":[0,8])"), "more than 6 numbers"},
      {entry(R"("dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8])"), "too many elements"},
      {entry(R"("dtype":"F32","shape":[0,18446744073709551615],"data_offsets":[0,0])"), "too many elements"},
      {entry(R"("dtype":"F32","shape":[2],"data_offsets":[0])"), "has 1 numbers, wanted 2"},
      {entry(R"("dtype":"F32","shape":[2],"data_offsets":[0,8,9])"), "more than 2 numbers"},
      {entry(R"("dtype":"F32","shape":[2],"data_offsets":[8,0])"), "end before they begin"},
      {entry(R"("dtype":"F32","shape":[3],"data_offsets":[0,12])"), "beyond the end"},
      {entry(R"("dtype":"F32","shape":[1],"data_offsets":[18446744073709551612,18446744073709551615])"),
       "beyond"},
      {entry(R"("dtype":"F32","shape":[3],"data_offsets":[0,8])"),
       "8 bytes are stored for f32[3], wanted 12"},
      {entry(R"("dtype":"F32","shape":[1],"data_offsets":[0,4])"), "4 bytes at the end"},
      {entry(R"("dtype":"F32","shape":[1],"data_offsets":[4,8])"), "leave a hole"},
      {file_of(R"({"a":{"dtype":"U8","shape":[6],"data_offsets":[0,6]},"b":{"dtype":"U8","shape":[4],)"
               R"("data_offsets":[4,8]}})",
               8),
       "overlap"},
      {file_of("{}", 1), "1 bytes at the end"},
  };
  for (const Bad& bad : table) {
    INFO(bad.bytes.substr(0, 200));
    CHECK_THAT(message_of(bad.bytes),
               Catch::Contains(bad.reason) && Catch::StartsWith("safetensors: test: "));
  }
}

TEST_CASE("safetensors: an edited file is told what was changed, and what to do") {
  const TemporaryFolder folder;
  write_safetensors(folder / "a", small_file());
  const std::string bytes = file_bytes(folder / "a");
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), 8);
  const std::string header = bytes.substr(8, length), data = bytes.substr(8 + length);
  const auto message = [&](const std::string& from, const std::string& to, const std::string& more = "") {
    std::string edited = header;
    const size_t place = edited.find(from);
    REQUIRE(place != std::string::npos);
    edited.replace(place, from.size(), to);
    const std::string text = message_of(file_of(edited, 0) + data + more);
    CHECK_THAT(text, Catch::Contains("after Fovea wrote the file") && Catch::Contains("xxh3_128.*") &&
                         Catch::Contains("use an earlier one"));
    return text;
  };
  CHECK_THAT(message("\"model\":\"tiny\"", "\"model\":\"huge\""),
             Catch::Contains("the metadata was changed"));
  CHECK_THAT(message("\"bias\":{", "\"offset\":{"), Catch::Contains("tensor \"offset\" was added"));
  CHECK_THAT(message("{\"__metadata__\":{", R"({"__metadata__":{"xxh3_128.other":"00",)"),
             Catch::Contains("tensor \"other\" was taken out"));
  CHECK_THAT(message("{\"__metadata__\":",
                     R"({"mask":{"dtype":"BOOL","shape":[1],"data_offsets":[72,73]},)"
                     R"("__metadata__":)",
                     "\1"),
             Catch::Contains("tensor \"mask\" was added"));
  std::string changed = bytes;
  changed.back() = '\1';
  CHECK_THAT(message_of(changed), Catch::Contains("tensor \"bias\" was changed after Fovea wrote the file"));
}

TEST_CASE("safetensors: a file cut off anywhere is refused") {
  const TemporaryFolder folder;
  write_safetensors(folder / "a", small_file());
  const std::string bytes = file_bytes(folder / "a");
  REQUIRE(parse(bytes).tensors.size() == 2);
  for (size_t length = 0; length < bytes.size(); ++length) {
    INFO(length);
    // An exact copy, so that a sanitizer sees a read beyond its end.
    REQUIRE_THROWS_AS(parse(std::string(bytes, 0, length)), CheckpointError);
  }
  REQUIRE_THROWS_AS(parse(bytes + '\0'), CheckpointError);
  write_bytes(folder / "cut", bytes.substr(0, bytes.size() - 1));
  REQUIRE_THROWS_AS(read_safetensors(folder / "cut"), CheckpointError);
}

TEST_CASE("safetensors: another kind of file is called what it is, and a length that is wrong a length") {
  using namespace std::string_literals;
  const std::pair<std::string, std::string> files[] = {
      {"\xff\xd8\xff\xe0\0\x10JFIF\0\1\1"s, "offset 0: a JPEG image found, wanted a safetensors file"},
      {"\x89PNG\r\n\x1a\n"s, "offset 0: a PNG image found, wanted a safetensors file"},
      {"PK\3\4 a model of PyTorch's"s, "offset 0: a ZIP archive found, wanted a safetensors file"},
      {"model = \"attention92\"\n"s, "offset 0: a text file found, wanted a safetensors file"},
      {"\1\2\3\4\5\6\7\x08 and more"s, "offset 0: the header's length is 578437695752307201, at most"},
      {"BM\0\0\0\0\0\0{\"a\":"s, "offset 0: the header's length is 19778, but only 5 bytes follow"}};
  for (const auto& [bytes, message] : files) {
    CHECK_THAT(message_of(bytes), Catch::Contains(message));
  }
}

TEST_CASE("safetensors: a flipped bit is found") {
  const TemporaryFolder folder;
  write_safetensors(folder / "a", small_file());
  const std::string bytes = file_bytes(folder / "a");
  const size_t data_begin = bytes.size() - 18 * sizeof(float);
  for (size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    INFO(bit);
    std::string damaged = bytes;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    const std::string message = message_of(damaged);
    CHECK_THAT(message, Catch::StartsWith("safetensors: test: "));
    if (bit / 8 >= data_begin) CHECK_THAT(message, Catch::Contains("XXH3-128"));
  }
}

TEST_CASE("safetensors: what cannot be written is refused, and the old file stays") {
  const TemporaryFolder folder;
  write_safetensors(folder / "a", small_file());
  const std::string before = file_bytes(folder / "a");
  const Tensor one = Tensor::zeros({1});
  const std::vector<SafetensorsFile> refused{
      {{{"w", one}, {"w", one}}, {}},
      {{{"", one}}, {}},
      {{{"__metadata__", one}}, {}},
      {{{"\xff", one}}, {}},
      {{{"a\nb", one}}, {}},
      {{{"w", Tensor()}}, {}},
      {{{"w", one}}, {{"key", "\xff"}}},
  };
  for (const SafetensorsFile& file : refused)
    CHECK_THROWS_AS(write_safetensors(folder / "a", file), CheckpointError);
  CHECK(file_bytes(folder / "a") == before);

  std::filesystem::create_directory(folder / "folder");
  CHECK_THROWS_AS(write_safetensors(folder / "folder", small_file()), CheckpointError);
  CHECK_THROWS_AS(write_safetensors(folder / "missing/a", small_file()), CheckpointError);
  CHECK_THROWS_AS(read_safetensors(folder / "folder"), CheckpointError);
  CHECK_THROWS_AS(read_safetensors(folder / "missing"), CheckpointError);
  REQUIRE(mkfifo((folder / "pipe").c_str(), 0600) == 0);
  CHECK_THROWS_AS(read_safetensors(folder / "pipe"), CheckpointError);
  CHECK_FALSE(std::filesystem::exists(folder / "a.part"));
  CHECK_FALSE(std::filesystem::exists(folder / "folder.part"));
}

TEST_CASE("safetensors: a full disk leaves the old file and nothing else") {
  const TemporaryFolder folder;
  write_safetensors(folder / "a", small_file());
  const std::string before = file_bytes(folder / "a");
  const SafetensorsFile large{{{"w", Tensor::zeros({4096})}}, {}};

  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {  // a limit on the size of files stands in for a full disk
    signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{1000, 1000};
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) _exit(3);
    try {
      write_safetensors(folder / "a", large);
    } catch (const CheckpointError&) {
      _exit(0);
    }
    _exit(1);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  CHECK(file_bytes(folder / "a") == before);
  CHECK_FALSE(std::filesystem::exists(folder / "a.part"));
}

TEST_CASE("safetensors: a killed writer leaves the old or the new file") {
  const TemporaryFolder folder;
  const auto file_with = [](double value) {
    return SafetensorsFile{{{"w", Tensor::full({50'000}, value)}}, {{"value", str(value)}}};
  };
  write_safetensors(folder / "a", file_with(0));
  Random random(1, Purpose::test);
  for (int trial = 0; trial < 20; ++trial) {
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      for (int i = 1; i < 1'000'000; ++i) write_safetensors(folder / "a", file_with(i));
      _exit(0);
    }
    usleep(500 + random.below(8000));
    REQUIRE(kill(child, SIGKILL) == 0);
    REQUIRE(waitpid(child, nullptr, 0) == child);
    const SafetensorsFile found = read_safetensors(folder / "a");
    REQUIRE(found.tensors.size() == 1);
    CHECK(str(found.tensors[0].tensor.data<float>()[0]) == found.metadata.at("value"));
  }
  write_safetensors(folder / "a", file_with(1));
  CHECK_FALSE(std::filesystem::exists(folder / "a.part"));
}

TEST_CASE("safetensors: two writers of one file are kept apart") {
  const TemporaryFolder folder;
  const int other = open((folder / "a.part").c_str(), O_WRONLY | O_CREAT, 0600);
  REQUIRE(other >= 0);
  REQUIRE(flock(other, LOCK_EX) == 0);
  CHECK_THROWS_WITH(write_safetensors(folder / "a", small_file()), Catch::Contains("another process"));
  CHECK(std::filesystem::exists(folder / "a.part"));
  REQUIRE(close(other) == 0);
  write_safetensors(folder / "a", small_file());  // what a killed writer has left is no obstacle
  CHECK(read_safetensors(folder / "a").tensors.size() == 2);
}

}  // namespace
}  // namespace fovea
