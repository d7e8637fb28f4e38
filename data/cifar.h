#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "fovea/data/image_set.h"

#pragma GCC visibility push(default)
namespace fovea {

/// The official version for Python, which torchvision and Keras take: a file is a pickle of a dictionary,
/// with the images as an array of bytes, [rows, 3072], and the labels as a list.
/// https://www.cs.toronto.edu/~kriz/cifar.html
struct CifarPythonFormat {
  std::string folder;  // the folder in the official archive
  std::vector<std::string> train_files, test_files;
  std::string names_file;             // a pickle, too, with a list of the class names
  std::string labels_key, names_key;  // in the dictionaries
};

/// The official binary format: a file is `rows_per_file` rows of label bytes, of which the last counts, and
/// a 32x32 image as three planes, red, green, blue. https://www.cs.toronto.edu/~kriz/cifar.html
struct CifarFormat {
  std::string name;        // as in load_dataset
  std::string folder;      // the folder in the official archive
  std::string names_file;  // a class name in each line; without it classes are called by their number
  std::vector<std::string> train_files, test_files;
  int64_t classes = 0;
  int64_t label_bytes = 1;
  int64_t train_rows = 0, test_rows = 0;  // in each file
  CifarPythonFormat python;               // the same images, in the same order
};

/// Ten classes, five files to train with.
CifarFormat cifar10_format();
/// A hundred classes; the rows' first label, one of twenty groups of classes, is left aside.
CifarFormat cifar100_format();

/// The bytes that a file may have.
struct FileSize {
  int64_t least = 0, greatest = 0;
};
/// The size of a file of the binary format with so many rows.
FileSize binary_size(const CifarFormat& format, int64_t rows);
/// The size of a file of the version for Python, in which an image has a label and the name of a file beside
/// it.
FileSize pickle_size(int64_t rows);

/// Reads the rows of one file into images (u8 [rows, 32, 32, 3]) and labels (i32 [rows]). DataError names
/// `path` and the byte offset if there are more or fewer bytes than rows, or a label is out of range.
void parse_cifar(std::span<const std::byte> bytes, const CifarFormat& format, const std::string& path,
                 Tensor& images, Tensor& labels);

/// Reads the images and labels of one file of the version for Python; see parse_cifar.
void parse_cifar_pickle(std::span<const std::byte> bytes, const CifarFormat& format, const std::string& path,
                        Tensor& images, Tensor& labels);

/// Loads one split from the folder that holds the files, of either version; if there are both, the binary
/// one.
ImageSet load_cifar(const CifarFormat& format, const std::string& folder, Split split);

}  // namespace fovea
#pragma GCC visibility pop
