#include "fovea/data/cifar.h"

#include <algorithm>
#include <filesystem>

#include "fovea/core/check.h"
#include "fovea/core/parallel_for.h"
#include "fovea/core/printable.h"
#include "fovea/data/file.h"
#include "fovea/data/pickle.h"

namespace fovea {
namespace {

constexpr int64_t kSide = 32;
constexpr int64_t kPlane = kSide * kSide;
constexpr int64_t kMaxNamesBytes = 1 << 16;
constexpr const char* kAdvice =
    "the file is not the official one or is damaged: get it with `cifar_trainer fetch`, or name the "
    "folder that has it";

int64_t row_bytes(const CifarFormat& format) {
  return format.label_bytes + 3 * kPlane;
}

/// Writes the image of a row, three planes one after the other, as pixels.
template <class Plane>
void write_pixels(const Plane& planes, uint8_t* out) {
  for (int64_t i = 0; i < kPlane; ++i) {
    for (int64_t c = 0; c < 3; ++c) out[3 * i + c] = static_cast<uint8_t>(planes(c * kPlane + i));
  }
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

/// Whether a folder has files of the version for Python alone.
bool is_python(const CifarFormat& format, const std::filesystem::path& folder) {
  return !holds_any(folder, format.train_files) && !holds_any(folder, format.test_files) &&
         (holds_any(folder, format.python.train_files) || holds_any(folder, format.python.test_files));
}

/// The list of a dictionary's key, with values of one kind; DataError if there is none.
const std::vector<const PickleValue*>& list_of(const Pickle& pickle, const std::string& key,
                                               PickleValue::Kind kind, const std::string& begin) {
  const PickleValue* const list = pickle.value().find(key);
  check<DataError>(list != nullptr && list->kind == PickleValue::Kind::list, begin, "expected a list ",
                   in_quotes(key), ", found none; ", kAdvice);
  for (const PickleValue* const value : list->values) {
    check<DataError>(value->kind == kind, begin, "expected ",
                     kind == PickleValue::Kind::integer ? "numbers" : "texts", " in ", in_quotes(key),
                     ", found something else; ", kAdvice);
  }
  return list->values;
}

std::vector<std::string> class_names_of_pickle(const CifarFormat& format, const std::string& path) {
  const std::vector<std::byte> bytes = read_file(format.name, path, kMaxNamesBytes, kAdvice);
  const Pickle pickle(bytes, format.name, path, kAdvice);
  const std::string begin = str(format.name, ": ", path, ": ");
  const auto& values = list_of(pickle, format.python.names_key, PickleValue::Kind::text, begin);
  std::vector<std::string> names;
  for (const PickleValue* const name : values) names.emplace_back(name->text);
  return names;
}

std::vector<std::string> load_class_names(const CifarFormat& format, const std::string& folder,
                                          bool has_pickles) {
  std::vector<std::string> names;
  const std::filesystem::path path =
      std::filesystem::path(folder) / (has_pickles ? format.python.names_file : format.names_file);
  if (!std::filesystem::exists(path)) {
    for (int64_t i = 0; i < format.classes; ++i) names.push_back(std::to_string(i));
    return names;
  }
  names = has_pickles ? class_names_of_pickle(format, path.string())
                      : parse_lines(read_file(format.name, path.string(), kMaxNamesBytes, kAdvice));
  check<DataError>(std::ssize(names) == format.classes, format.name, ": ", path.string(), ": expected ",
                   format.classes, " class names", has_pickles ? "" : ", one in each line", ", found ",
                   names.size(), "; ", kAdvice);
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
          .test_rows = 10000,
          .python = {
              .folder = "cifar-10-batches-py",
              .train_files = {"data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5"},
              .test_files = {"test_batch"},
              .names_file = "batches.meta",
              .labels_key = "labels",
              .names_key = "label_names"}};
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
          .test_rows = 10000,
          .python = {.folder = "cifar-100-python",
                     .train_files = {"train"},
                     .test_files = {"test"},
                     .names_file = "meta",
                     .labels_key = "fine_labels",
                     .names_key = "fine_label_names"}};
}

FileSize binary_size(const CifarFormat& format, int64_t rows) {
  return {rows * row_bytes(format), rows * row_bytes(format)};
}

FileSize pickle_size(int64_t rows) {
  constexpr int64_t kBesideImage = 128, kBesideAll = 1 << 16;
  return {rows * 3 * kPlane, rows * (3 * kPlane + kBesideImage) + kBesideAll};
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
      label[row] = static_cast<int32_t>(in[-1]);
      write_pixels([in](int64_t i) { return in[i]; }, pixels + row * 3 * kPlane);
    }
  });
  for (int64_t row = 0; row < rows; ++row) {
    check<DataError>(label[row] < format.classes, format.name, ": ", path, ": at byte offset ",
                     row * row_size + format.label_bytes - 1, ": expected a label from 0 to ",
                     format.classes - 1, ", found ", label[row], " (row ", row, "); ", kAdvice);
  }
}

void parse_cifar_pickle(std::span<const std::byte> bytes, const CifarFormat& format, const std::string& path,
                        Tensor& images, Tensor& labels) {
  const int64_t rows = labels.size();
  check(images.shape() == Shape{rows, kSide, kSide, 3}, "parse_cifar_pickle: images are ", images, " for ",
        rows, " labels");
  const Pickle pickle(bytes, format.name, path, kAdvice);
  const std::string begin = str(format.name, ": ", path, ": "), &key = format.python.labels_key;
  const auto& numbers = list_of(pickle, key, PickleValue::Kind::integer, begin);
  const PickleValue* const data = pickle.value().find("data");
  check<DataError>(data != nullptr && data->kind == PickleValue::Kind::array, begin,
                   "expected an array 'data', found none; ", kAdvice);
  std::vector<int64_t> extents;
  for (const PickleValue* const extent : data->values) extents.push_back(extent->number);
  check<DataError>(extents == std::vector<int64_t>{rows, 3 * kPlane} && std::ssize(numbers) == rows, begin,
                   "expected ", rows, " rows of ", 3 * kPlane, " bytes in 'data', and as many ",
                   in_quotes(key), ", found ", data->text.size(), " bytes in ",
                   extents.empty() ? 0 : extents[0], " rows, and ", numbers.size(), "; ", kAdvice);
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t label = numbers[static_cast<size_t>(row)]->number;
    check<DataError>(label >= 0 && label < format.classes, begin, "expected a label from 0 to ",
                     format.classes - 1, ", found ", label, " (row ", row, "); ", kAdvice);
    labels.data<int32_t>()[row] = static_cast<int32_t>(label);
  }
  const char* const in = data->text.data();
  const int64_t row_stride = data->number == 1 ? 1 : 3 * kPlane, stride = data->number == 1 ? rows : 1;
  uint8_t* const pixels = images.data<uint8_t>();
  parallel_for(rows, /*grain=*/256, [&](int64_t first, int64_t end) {
    for (int64_t row = first; row < end; ++row) {
      write_pixels([&](int64_t i) { return in[row * row_stride + i * stride]; }, pixels + row * 3 * kPlane);
    }
  });
}

ImageSet load_cifar(const CifarFormat& format, const std::string& folder, Split split) {
  const bool is_train = split == Split::train, has_pickles = is_python(format, folder);
  const std::vector<std::string>& files =
      has_pickles ? (is_train ? format.python.train_files : format.python.test_files)
                  : (is_train ? format.train_files : format.test_files);
  const int64_t rows = is_train ? format.train_rows : format.test_rows;
  const int64_t max_bytes = (has_pickles ? pickle_size(rows) : binary_size(format, rows)).greatest;
  const int64_t N = rows * std::ssize(files);

  ImageSet set{format.name, Tensor::empty({N, kSide, kSide, 3}, Dtype::u8), Tensor::empty({N}, Dtype::i32),
               load_class_names(format, folder, has_pickles)};
  for (int64_t i = 0; i < std::ssize(files); ++i) {
    const std::string path = (std::filesystem::path(folder) / files[static_cast<size_t>(i)]).string();
    const std::vector<std::byte> bytes =
        read_file(format.name, path, static_cast<size_t>(max_bytes), kAdvice);
    Tensor images = set.images.slice(i * rows * 3 * kPlane, {rows, kSide, kSide, 3});
    Tensor labels = set.labels.slice(i * rows, {rows});
    has_pickles ? parse_cifar_pickle(bytes, format, path, images, labels)
                : parse_cifar(bytes, format, path, images, labels);
  }
  return set;
}

}  // namespace fovea
