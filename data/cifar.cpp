#include "fovea/data/cifar.h"

#include <algorithm>
#include <filesystem>

#include "fovea/core/check.h"
#include "fovea/core/parallel_for.h"
#include "fovea/data/file.h"

namespace fovea {
namespace {

constexpr int64_t kSide = 32;
constexpr int64_t kPlane = kSide * kSide;
constexpr int64_t kMaxNamesBytes = 1 << 16;
constexpr const char* kAdvice =
    "the file is not the official one or is damaged: get it with `cifar_trainer fetch`, or say with --data "
    "where it is";

int64_t row_bytes(const CifarFormat& format) {
  return format.label_bytes + 3 * kPlane;
}

/// The lines of a text file, without the empty ones and the carriage returns.
std::vector<std::string> parse_lines(std::span<const std::byte> bytes) {
  std::vector<std::string> lines(1);
  for (const std::byte byte : bytes) {
    const char c = static_cast<char>(byte);
    if (c == '\n' && !lines.back().empty()) lines.emplace_back();
    if (c != '\n' && c != '\r') lines.back() += c;
  }
  if (lines.back().empty()) lines.pop_back();
  return lines;
}

std::vector<std::string> load_class_names(const CifarFormat& format, const std::string& folder) {
  std::vector<std::string> names;
  const std::filesystem::path path = std::filesystem::path(folder) / format.names_file;
  if (!std::filesystem::exists(path)) {
    for (int64_t i = 0; i < format.classes; ++i) names.push_back(std::to_string(i));
    return names;
  }
  names = parse_lines(read_file(format.name, path.string(), kMaxNamesBytes, kAdvice));
  check<DataError>(std::ssize(names) == format.classes, format.name, ": ", path.string(), ": expected ",
                   format.classes, " class names, one in each line, found ", names.size(), "; ", kAdvice);
  return names;
}

}  // namespace

CifarFormat cifar10_format() {
  return {.name = "cifar10",
          .folder = "cifar-10-batches-bin",
          .names_file = "batches.meta.txt",
          .train_files = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
                          "data_batch_5.bin"},
          .test_files = {"test_batch.bin"},
          .classes = 10,
          .label_bytes = 1,
          .train_rows = 10000,
          .test_rows = 10000};
}

CifarFormat cifar100_format() {
  return {.name = "cifar100",
          .folder = "cifar-100-binary",
          .names_file = "fine_label_names.txt",
          .train_files = {"train.bin"},
          .test_files = {"test.bin"},
          .classes = 100,
          .label_bytes = 2,
          .train_rows = 50000,
          .test_rows = 10000};
}

void parse_cifar(std::span<const std::byte> bytes, const CifarFormat& format, const std::string& path,
                 Tensor& images, Tensor& labels) {
  const int64_t rows = labels.size(), row_size = row_bytes(format), found = std::ssize(bytes);
  check(images.shape() == Shape{rows, kSide, kSide, 3}, "parse_cifar: images are ", images, " for ", rows,
        " labels");
  check<DataError>(found >= rows * row_size, format.name, ": ", path, ": at byte offset ", found,
                   ": the file ends in row ", found / row_size, ": expected ", rows * row_size, " bytes (",
                   rows, " rows of ", row_size, "), found ", found, "; ", kAdvice);
  check<DataError>(found == rows * row_size, format.name, ": ", path, ": at byte offset ", rows * row_size,
                   ": expected the end of the file after ", rows, " rows of ", row_size, " bytes, found ",
                   found, " bytes; ", kAdvice);

  uint8_t* pixels = images.data<uint8_t>();
  int32_t* label = labels.data<int32_t>();
  parallel_for(rows, /*grain=*/256, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const std::byte* in = bytes.data() + row * row_size + format.label_bytes;
      uint8_t* out = pixels + row * 3 * kPlane;
      label[row] = static_cast<int32_t>(in[-1]);
      for (int64_t i = 0; i < kPlane; ++i) {
        for (int64_t c = 0; c < 3; ++c) out[3 * i + c] = static_cast<uint8_t>(in[c * kPlane + i]);
      }
    }
  });
  for (int64_t row = 0; row < rows; ++row) {
    check<DataError>(label[row] < format.classes, format.name, ": ", path, ": at byte offset ",
                     row * row_size + format.label_bytes - 1, ": expected a label from 0 to ",
                     format.classes - 1, ", found ", label[row], " (row ", row, "); ", kAdvice);
  }
}

ImageSet load_cifar(const CifarFormat& format, const std::string& folder, Split split) {
  const bool is_train = split == Split::train;
  const std::vector<std::string>& files = is_train ? format.train_files : format.test_files;
  const int64_t rows = is_train ? format.train_rows : format.test_rows;
  const int64_t max_bytes = rows * row_bytes(format), N = rows * std::ssize(files);

  ImageSet set{format.name, Tensor::empty({N, kSide, kSide, 3}, Dtype::u8), Tensor::empty({N}, Dtype::i32),
               load_class_names(format, folder)};
  for (int64_t i = 0; i < std::ssize(files); ++i) {
    const std::string path = (std::filesystem::path(folder) / files[static_cast<size_t>(i)]).string();
    const std::vector<std::byte> bytes =
        read_file(format.name, path, static_cast<size_t>(max_bytes), kAdvice);
    Tensor images = set.images.slice(i * rows * 3 * kPlane, {rows, kSide, kSide, 3});
    Tensor labels = set.labels.slice(i * rows, {rows});
    parse_cifar(bytes, format, path, images, labels);
  }
  return set;
}

}  // namespace fovea
