#include "fovea/data/cifar.h"

#include <catch2/catch.hpp>

#include "pickle_files.h"
#include "test_files.h"

using namespace fovea;
using Catch::Contains;

namespace {

constexpr int64_t kPlane = 32 * 32;

/// The value of a pixel in the files written here: it tells row, channel and place apart.
uint8_t pixel(int64_t row, int64_t c, int64_t i) {
  return static_cast<uint8_t>(row * 31 + c * 7 + i * 3);
}

std::string rows_of(const CifarFormat& format, int64_t rows, int64_t first = 0) {
  std::string text;
  for (int64_t row = first; row < first + rows; ++row) {
    for (int64_t k = 1; k < format.label_bytes; ++k) text += '\x7f';
    text += static_cast<char>(row % format.classes);
    for (int64_t c = 0; c < 3; ++c) {
      for (int64_t i = 0; i < kPlane; ++i) text += static_cast<char>(pixel(row, c, i));
    }
  }
  return text;
}

std::string names_of(const CifarFormat& format) {
  std::string text;
  for (int64_t i = 0; i < format.classes; ++i) text += "name " + std::to_string(i) + "\r\n";
  return text + "\n";
}

/// The format with few rows in each file.
CifarFormat small(CifarFormat format) {
  format.train_rows = 3;
  format.test_rows = 2;
  return format;
}

void write_dataset(const CifarFormat& format, const std::filesystem::path& folder) {
  int64_t row = 0;
  for (const std::string& name : format.train_files) {
    write_file(folder / name, rows_of(format, format.train_rows, row));
    row += format.train_rows;
  }
  write_file(folder / format.test_files[0], rows_of(format, format.test_rows));
  write_file(folder / format.names_file, names_of(format));
}

/// The same rows as of a file of the version for Python.
std::string pickle_of_rows(const CifarFormat& format, int64_t rows, int64_t first = 0,
                           bool by_columns = false) {
  const int64_t columns = 3 * kPlane;
  std::vector<int64_t> labels;
  std::vector<std::string_view> names;
  std::string bytes(static_cast<size_t>(rows * columns), 0);
  for (int64_t row = 0; row < rows; ++row) {
    labels.push_back((first + row) % format.classes);
    names.emplace_back("picture_s_000001.png");
    for (int64_t k = 0; k < columns; ++k) {
      const int64_t place = by_columns ? k * rows + row : row * columns + k;
      bytes[static_cast<size_t>(place)] = static_cast<char>(pixel(first + row, k / kPlane, k % kPlane));
    }
  }
  return test::pickle_of({{"batch_label", test::pickled("training batch 1 of 5")},
                          {format.python.labels_key, test::pickled(labels)},
                          {"data", test::pickled_array(rows, columns, bytes, by_columns)},
                          {"filenames", test::pickled(names)}});
}

void write_python_dataset(const CifarFormat& format, const std::filesystem::path& folder) {
  int64_t row = 0;
  for (const std::string& name : format.python.train_files) {
    write_file(folder / name, pickle_of_rows(format, format.train_rows, row, /*by_columns=*/row == 3));
    row += format.train_rows;
  }
  write_file(folder / format.python.test_files[0], pickle_of_rows(format, format.test_rows));
  std::vector<std::string> names;
  for (int64_t i = 0; i < format.classes; ++i) names.push_back("name " + std::to_string(i));
  write_file(folder / format.python.names_file,
             test::pickle_of({{"num_cases_per_batch", test::pickled(int64_t{10000})},
                              {format.python.names_key, test::pickled(names)}}));
}

void parse(const std::string& text, const CifarFormat& format, int64_t rows) {
  Tensor images = Tensor::empty({rows, 32, 32, 3}, Dtype::u8), labels = Tensor::empty({rows}, Dtype::i32);
  parse_cifar(bytes_of(text), format, "a.bin", images, labels);
}

}  // namespace

TEST_CASE("cifar: the official sizes") {
  CHECK(cifar10_format().train_files.size() * static_cast<size_t>(cifar10_format().train_rows) == 50000);
  CHECK(cifar10_format().test_rows == 10000);
  CHECK(cifar100_format().train_rows == 50000);
  CHECK(cifar100_format().test_rows == 10000);
}

TEST_CASE("cifar: planes become pixels, in the order of the files") {
  const CifarFormat format = small(GENERATE(cifar10_format(), cifar100_format()));
  TemporaryFolder folder;
  write_dataset(format, folder.path().string());
  const ImageSet train = load_cifar(format, folder.path().string(), Split::train);
  const ImageSet test = load_cifar(format, folder.path().string(), Split::test);
  REQUIRE(train.size() == 3 * std::ssize(format.train_files));
  REQUIRE(test.size() == 2);
  CHECK(train.classes() == format.classes);
  CHECK(train.class_names[3] == "name 3");
  int64_t wrong = 0;
  for (int64_t n = 0; n < train.size(); ++n) {
    wrong += train.labels.data<int32_t>()[n] != n % format.classes;
    for (int64_t i = 0; i < kPlane; ++i) {
      for (int64_t c = 0; c < 3; ++c) {
        wrong += train.images.data<uint8_t>()[(n * kPlane + i) * 3 + c] != pixel(n, c, i);
      }
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE("cifar: the version for Python gives the same images, labels and names") {
  const CifarFormat format = small(GENERATE(cifar10_format(), cifar100_format()));
  TemporaryFolder binary, python, both;
  write_dataset(format, binary.path().string());
  write_python_dataset(format, python.path().string());
  for (const Split split : {Split::train, Split::test}) {
    const ImageSet wanted = load_cifar(format, binary.path().string(), split);
    const ImageSet found = load_cifar(format, python.path().string(), split);
    CHECK((found.images.to_doubles() == wanted.images.to_doubles()));
    CHECK(found.labels.to_doubles() == wanted.labels.to_doubles());
    CHECK(found.class_names == wanted.class_names);
  }
  // Where there are both, the binary one is taken.
  write_dataset(format, both.path().string());
  write_file(both / format.python.train_files[0], "no pickle");
  CHECK(load_cifar(format, both.path().string(), Split::train).size() == 3 * std::ssize(format.train_files));
  std::filesystem::remove(python / format.python.names_file);
  CHECK(load_cifar(format, python.path().string(), Split::test).class_names[7] == "7");
}

TEST_CASE("cifar: a pickle that holds something else is an error") {
  const CifarFormat format = small(cifar10_format());
  const auto message = [&](const std::string& text) {
    Tensor images = Tensor::empty({2, 32, 32, 3}, Dtype::u8), labels = Tensor::empty({2}, Dtype::i32);
    return message_of<DataError>([&] { parse_cifar_pickle(bytes_of(text), format, "a", images, labels); });
  };
  const auto labels = [](const std::vector<int64_t>& numbers) {
    return std::pair<std::string, std::string>{"labels", test::pickled(numbers)};
  };
  const std::pair<std::string, std::string> data{
      "data", test::pickled_array(2, 3072, std::string(size_t{2 * 3072}, 'x'))};
  CHECK_THAT(message(test::pickle_of({data})),
             Contains("cifar10: a: expected a list \"labels\", found none"));
  CHECK_THAT(message(test::pickle_of({{"labels", "N"}, data})), Contains("expected a list"));
  CHECK_THAT(message(test::pickle_of({{"labels", "](" + test::pickled("1") + "Ne"}, data})),
             Contains("expected numbers in \"labels\""));
  CHECK_THAT(message(test::pickle_of({labels({1, 2})})), Contains("expected an array 'data', found none"));
  CHECK_THAT(message(test::pickle_of({labels({1, 2}), {"data", "N"}})), Contains("expected an array"));
  CHECK_THAT(message(test::pickle_of({labels({1, 2, 3}), data})), Contains("and as many") && Contains("3"));
  CHECK_THAT(message(test::pickle_of({labels({1, 10}), data})), Contains("from 0 to 9, found 10 (row 1)"));
  CHECK_THAT(message(test::pickle_of({labels({-1, 2}), data})), Contains("from 0 to 9, found -1 (row 0)"));
  CHECK_THAT(message(test::pickle_of(
                 {labels({1, 2}), {"data", test::pickled_array(1, 6144, std::string(size_t{6144}, 'x'))}})),
             Contains("expected 2 rows of 3072 bytes"));
  CHECK_THAT(message(test::pickle_of({labels({1, 2}), data}) + "x"),
             Contains("expected the end of the file"));
  CHECK_THAT(message("\x80\x02N."), Contains("expected a list"));
}

TEST_CASE("cifar: a file cut short at any place is an error that says where") {
  const CifarFormat format = GENERATE(cifar10_format(), cifar100_format());
  const std::string text = rows_of(format, 2);
  const size_t row = text.size() / 2;
  for (const size_t size : {size_t{0}, size_t{1}, size_t{2}, size_t{3}, row - 1, row, row + 1, row + 2,
                            row + 3, 2 * row - 1025, 2 * row - 1}) {
    const std::string message =
        message_of<DataError>([&] { parse(text.substr(0, size), format, /*rows=*/2); });
    CHECK_THAT(message, Contains("a.bin") && Contains("at byte offset " + std::to_string(size)));
    CHECK_THAT(message, Contains("expected " + std::to_string(2 * row)) &&
                            Contains("found " + std::to_string(size)) && Contains("cifar_trainer fetch"));
  }
  CHECK_NOTHROW(parse(text, format, /*rows=*/2));
}

TEST_CASE("cifar: a byte too many is an error, in memory and in a file") {
  const CifarFormat format = small(cifar10_format());
  CHECK_THAT(message_of<DataError>([&] { parse(rows_of(format, 3) + "x", format, 3); }),
             Contains("at byte offset 9219") && Contains("found 9220"));
  TemporaryFolder folder;
  write_dataset(format, folder.path().string());
  write_file(folder / "test_batch.bin", rows_of(format, 2) + "x");
  CHECK_THAT(message_of<DataError>([&] { load_cifar(format, folder.path().string(), Split::test); }),
             Contains("test_batch.bin: at byte offset 6146") && Contains("found 6147"));
}

TEST_CASE("cifar: a label out of range is an error that says where") {
  CifarFormat format = cifar10_format();
  std::string text = rows_of(format, 3);
  text[2 * 3073] = 10;
  CHECK_THAT(message_of<DataError>([&] { parse(text, format, 3); }),
             Contains("at byte offset 6146") && Contains("from 0 to 9, found 10"));
  format = cifar100_format();
  text = rows_of(format, 2);
  text[3074 + 1] = static_cast<char>(255);
  CHECK_THAT(message_of<DataError>([&] { parse(text, format, 2); }),
             Contains("at byte offset 3075") && Contains("from 0 to 99, found 255"));
}

TEST_CASE("cifar: a missing file, a folder in its place and wrong names are errors") {
  const CifarFormat format = small(cifar10_format());
  TemporaryFolder folder;
  write_dataset(format, folder.path().string());
  const auto load = [&] { load_cifar(format, folder.path().string(), Split::train); };
  CHECK_NOTHROW(load());

  std::filesystem::remove(folder / "data_batch_3.bin");
  CHECK_THAT(message_of<DataError>(load),
             Contains("data_batch_3.bin: no such file") && Contains("cifar_trainer fetch"));
  std::filesystem::create_directory(folder / "data_batch_3.bin");
  CHECK_THAT(message_of<DataError>(load), Contains("data_batch_3.bin") && Contains("expected a file"));

  write_file(folder / "batches.meta.txt", "cat\ndog\n");
  CHECK_THAT(message_of<DataError>(load),
             Contains("batches.meta.txt: expected 10 class names") && Contains("found 2"));
}

TEST_CASE("cifar: without the file of names classes are called by their number") {
  const CifarFormat format = small(cifar10_format());
  TemporaryFolder folder;
  write_dataset(format, folder.path().string());
  std::filesystem::remove(folder / "batches.meta.txt");
  CHECK(load_cifar(format, folder.path().string(), Split::test).class_names[7] == "7");
}
