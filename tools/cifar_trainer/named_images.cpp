#include "named_images.h"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "fovea/core/check.h"
#include "fovea/data/resize.h"
#include "image_file.h"
#include "image_folder.h"
#include "output.h"
#include "progress.h"
#include "signals.h"

namespace fovea::cli {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> images_in(const std::string& command, const std::string& folder) {
  FolderContents contents = list_folder(command, folder);
  const std::string others = others_text(contents);
  const std::string found = !others.empty() ? "no PNG or JPEG file is directly in this folder, but " + others
                            : contents.hidden > 0
                                ? "this folder has hidden files only, which are not looked at"
                                : "this folder is empty";
  std::vector<std::string>& files = contents.images;
  check<DataError>(!files.empty(), command, ": ", folder, ": ", found,
                   "; name a folder that holds PNG or JPEG files");
  if (!others.empty())
    show(fmt::format("{}: {}: {} image{}; {} passed over\n", command, on_one_line(folder), files.size(),
                     files.size() == 1 ? "" : "s", others));
  return std::move(files);
}

// All of it, in pieces, between which a signal is seen.
std::vector<std::byte> read_standard_input(const std::string& command) {
  constexpr size_t kPiece = size_t{1} << 20;
  constexpr int kMilliseconds = 100;
  std::vector<std::byte> bytes;
  for (size_t size = 0;;) {
    throw_if_stopped("reading standard input");
    pollfd input{STDIN_FILENO, POLLIN, 0};
    if (const int ready = poll(&input, 1, kMilliseconds); ready == 0 || (ready < 0 && errno == EINTR))
      continue;
    bytes.resize(size + kPiece);
    const ssize_t count = read(STDIN_FILENO, bytes.data() + size, kPiece);
    if (count < 0 && errno == EINTR) continue;
    check<DataError>(count >= 0, command, ": cannot read standard input: ", std::strerror(errno));
    size += static_cast<size_t>(count);
    check<DataError>(size <= kMaxImageBytes, command, ": standard input: more than ", kMaxImageBytes,
                     " bytes, which is no image that is read");
    if (count > 0) continue;
    bytes.resize(size);
    return bytes;
  }
}

Tensor read_one(const std::string& command, const std::string& file) {
  try {
    if (file == kStandardInput)
      return parse_image(read_standard_input(command), "standard input", should_stop);
    return read_image(file, should_stop);
  } catch (const DataError&) {
    throw_if_stopped("reading images");
    throw;
  }
}

// "4000x3000 pixels, resized to 43x32 and cropped to the 32x32 in the middle"
std::string change_of(int64_t H, int64_t W, int64_t size) {
  const int64_t shorter = std::min(H, W);
  std::string text = fmt::format("{}x{} pixels", W, H);
  if (shorter != size) text += fmt::format(", resized to {}x{}", size * W / shorter, size * H / shorter);
  if (H == W) return text;
  return text +
         fmt::format("{} cropped to the {}x{} in the middle", shorter != size ? " and" : ",", size, size);
}

}  // namespace

std::vector<std::string> named_files(const std::string& command, const std::vector<std::string>& names) {
  check<UsageError>(std::count(names.begin(), names.end(), kStandardInput) <= 1, command,
                    ": standard input (-) is named twice, and holds one image");
  std::vector<std::string> files;
  for (const std::string& name : names) {
    check<UsageError>(!name.empty(), command,
                      ": the name of an image is empty, wanted a file, a folder or - for standard input");
    std::error_code ignored;
    if (name != kStandardInput && fs::is_directory(name, ignored)) {
      for (std::string& file : images_in(command, name)) files.push_back(std::move(file));
    } else {
      files.push_back(name);
    }
  }
  return files;
}

Tensor read_named_images(const std::string& command, const std::vector<std::string>& files, int64_t size) {
  constexpr int64_t kMany = 10;  // with fewer, how it goes is not told
  const int64_t N = std::ssize(files);
  Tensor images = Tensor::empty({N, size, size, 3}, Dtype::u8);
  int64_t changed = 0, cropped = 0;
  std::string change;
  Progress progress;
  for (int64_t n = 0; n < N; ++n) {
    if (N >= kMany) progress.count("reading", "images", n, N);
    const std::string& file = files[static_cast<size_t>(n)];
    Tensor image = read_one(command, file);  // [H, W, 3]
    const int64_t H = image.shape(0), W = image.shape(1);
    if (H != size || W != size) {
      ++changed;
      cropped += H != W ? 1 : 0;
      change = fmt::format("{}: {}", file == kStandardInput ? "standard input" : file, change_of(H, W, size));
      image = resized_and_cropped(image, size);
    }
    images.slice(n * image.size(), image.shape()).copy_from(image);
    throw_if_stopped("reading images");
  }
  if (N > 1) {
    change =
        fmt::format("{} of {} images resized to the network's {}x{} pixels, {} of them cropped to the middle",
                    changed, N, size, size, cropped);
  }
  if (changed > 0) progress.line(on_one_line(fmt::format("{}: {}", command, change)));
  return images;
}

}  // namespace fovea::cli
