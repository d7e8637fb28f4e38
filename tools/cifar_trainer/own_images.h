#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fovea/data/datasets.h"

namespace fovea::cli {

/// Images of a user's own, before any is read: files, or rows of an array. Several threads may read.
class ImageSource {
 public:
  virtual ~ImageSource() = default;
  /// Image `n`: u8 [H, W, 3], of any size.
  virtual Tensor read(int64_t n) const = 0;
  /// The file of image `n`; "" where it has none of its own.
  virtual std::string file(int64_t n) const = 0;
};

/// Some images of a source, and their labels.
struct ImageList {
  std::shared_ptr<const ImageSource> source;
  std::vector<int64_t> images;  // numbers in the source
  std::vector<int32_t> labels;  // of each of them

  int64_t size() const { return static_cast<int64_t>(images.size()); }
};

/// A dataset of a user's own, listed.
struct OwnImages {
  std::string name;  // of the dataset and its folder, for messages
  std::vector<std::string> class_names;
  ImageList train, test, validation;  // an empty one: there is no such part
};

/// Images of `folder`, a folder a class, each named by its folder, in the byte order of those names; or
/// "train" and "test" above such folders, and "val" ("valid", "validation"): images to decide by. Only what
/// is directly in a class's folder counts. In each part images are in the byte order of their files' names,
/// those of the same name in that of their classes: so names that are numbered over all classes set the
/// order. DataError names what is in the way.
OwnImages list_image_folder(const std::string& folder);

/// The same of arrays of NumPy: images.npy, u8 [N, H, W, 3], and labels.npy, whole numbers from 0 on; or both
/// with "train-" and "test-" (and "val-") before the name. classes.txt, where it is there, has a class name
/// a line; without it numbers are the names. Images are in the order of the arrays.
OwnImages list_npy_folder(const std::string& folder);

/// Gives the images a test part if they have none: the validation part or, without that, this share of the
/// training part, of each class as much, the same images whatever the seed of a run. 1: all of them.
/// DataError where a class would be left without training images.
void take_test_share(OwnImages& images, double share);

/// Which images of a dataset are read.
struct Excerpt {
  int64_t train_limit = 0, test_limit = 0;                        // the first of each part; 0: all
  bool has_train = true, has_test = true, has_validation = true;  // which parts are wanted
};

/// Reads the images on all threads, brings the shorter side of each to `size` pixels and keeps the middle.
/// How far it is shows in a bar; a signal ends it. OutOfMemory, before anything is read, where they would not
/// fit into memory. DataError names the images that cannot be read.
Dataset read_own_images(const OwnImages& images, const Excerpt& excerpt, int64_t size);

/// Throws the OutOfMemory of so many images where they and their labels need more than `available` bytes.
void check_fits(const std::string& name, int64_t images, int64_t size, std::optional<int64_t> available);

}  // namespace fovea::cli
