// Tensors of dtypes that Fovea has not, and of other ones than are wanted.
#include <bit>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>

#include "fovea/core/check.h"
#include "fovea/core/safetensors.h"
#include "test_files.h"

namespace fovea {
namespace {

/// A file of this header and `data_bytes` zeros.
std::string file_of(const std::string& header, size_t data_bytes) {
  std::string bytes(8, '\0');
  const uint64_t length = header.size();
  std::memcpy(bytes.data(), &length, 8);
  return bytes + header + std::string(data_bytes, '\0');
}

SafetensorsFile parse(const std::string& bytes) {
  return parse_safetensors(bytes_of(bytes), "test");
}

std::string message(const std::string& bytes) {
  return message_of<CheckpointError>([&] { parse(bytes); });
}

TEST_CASE("safetensors_dtypes: tensors of other dtypes are passed over") {
  struct Other {
    std::string dtype;
    size_t bytes;  // of eight elements
  };
  const std::vector<Other> others{{"BOOL", 8},        {"I8", 8},      {"I16", 16},        {"U16", 16},
                                  {"U32", 32},        {"U64", 64},    {"F4", 4},          {"F6_E2M3", 6},
                                  {"F6_E3M2", 6},     {"F8_E4M3", 8}, {"F8_E4M3FNUZ", 8}, {"F8_E5M2", 8},
                                  {"F8_E5M2FNUZ", 8}, {"F8_E8M0", 8}, {"C64", 64}};
  for (const Other& other : others) {
    INFO(other.dtype);
    const auto header = [&](size_t bytes) {
      return R"({"o":{"dtype":")" + other.dtype + R"(","shape":[2,4],"data_offsets":[0,)" + str(bytes) +
             R"(]},"w":{"dtype":"I32","shape":[],"data_offsets":[)" + str(bytes, ",", bytes + 4) + "]}}";
    };
    std::string bytes = file_of(header(other.bytes), other.bytes + 4);
    bytes[bytes.size() - 4] = 7;
    const SafetensorsFile file = parse(bytes);
    REQUIRE(file.tensors.size() == 1);
    CHECK(file.tensors[0].tensor.to_doubles() == std::vector<double>{7});
    REQUIRE(file.others.size() == 1);
    CHECK(file.others[0].name == "o");
    CHECK(file.others[0].dtype == other.dtype);
    CHECK(file.others[0].shape == Shape{2, 4});
    CHECK_THAT(message(file_of(header(other.bytes + 1), other.bytes + 5)),
               Catch::Contains("bytes are stored for " + other.dtype + "[2, 4], wanted " + str(other.bytes)));
  }
  CHECK_THAT(message(file_of(R"({"o":{"dtype":"F4","shape":[3],"data_offsets":[0,2]}})", 2)),
             Catch::Contains("F4[3]"));
}

TEST_CASE("safetensors_dtypes: a tensor of another dtype is an error where it is wanted, and only there") {
  const SafetensorsFile file{{{"w", Tensor::full({2}, 3)}}, {}, {{"mask", "BOOL", {2}}}};
  Tensor w = Tensor::zeros({2}), mask = Tensor::zeros({2});
  CHECK(copy_by_name(file.tensors, std::vector<NamedTensor>{{"w", w}}, "file", file.others) == 0);
  CHECK(w.to_doubles() == std::vector<double>{3, 3});
  w = Tensor::zeros({2});
  const std::vector<NamedTensor> both{{"w", w}, {"mask", mask}};
  CHECK_THROWS_WITH(copy_by_name(file.tensors, both, "file", file.others),
                    Catch::Contains("mask: found BOOL[2], wanted f32[2]"));
  CHECK(w.to_doubles() == std::vector<double>{0, 0});
}

TEST_CASE("safetensors_dtypes: what a wider dtype holds exactly is converted") {
  // Every number of 16 bits: the sign, subnormals, and the largest.
  std::vector<double> wanted;
  for (const Dtype from : {Dtype::f16, Dtype::bf16}) {
    Tensor all = Tensor::empty({65536}, from);
    for (int64_t i = 0; i < 65536; ++i) static_cast<uint16_t*>(all.raw())[i] = static_cast<uint16_t>(i);
    const std::vector<double> numbers = all.to_doubles();
    for (const Dtype to : {Dtype::f32, Dtype::f64}) {
      INFO(from << " to " << to);
      Tensor target = Tensor::zeros({65536}, to);
      CHECK(copy_by_name(std::vector<NamedTensor>{{"w", all}}, std::vector<NamedTensor>{{"w", target}},
                         "file") == 1);
      const std::vector<double> found = target.to_doubles();
      int different = 0;
      for (size_t i = 0; i < 65536; ++i) {
        const bool is_same = std::isnan(numbers[i])
                                 ? std::isnan(found[i])
                                 : std::bit_cast<uint64_t>(found[i]) == std::bit_cast<uint64_t>(numbers[i]);
        different += is_same ? 0 : 1;
      }
      CHECK(different == 0);
    }
  }
  const auto copy = [](Dtype from, Dtype to) {
    return copy_by_name(std::vector<NamedTensor>{{"w", Tensor::full({1}, 1, from)}},
                        std::vector<NamedTensor>{{"w", Tensor::zeros({1}, to)}}, "file");
  };
  CHECK(copy(Dtype::f32, Dtype::f64) == 1);
  CHECK(copy(Dtype::f32, Dtype::f32) == 0);
  const std::vector<std::pair<Dtype, Dtype>> inexact{{Dtype::f64, Dtype::f32},  {Dtype::f32, Dtype::bf16},
                                                     {Dtype::f16, Dtype::bf16}, {Dtype::bf16, Dtype::f16},
                                                     {Dtype::i32, Dtype::f32},  {Dtype::u8, Dtype::i32}};
  for (const auto& [from, to] : inexact) {
    INFO(from << " to " << to);
    CHECK_THROWS_AS(copy(from, to), CheckpointError);
  }
}

}  // namespace
}  // namespace fovea
