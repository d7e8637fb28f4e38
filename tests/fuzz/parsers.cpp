// Every parser of Fovea under libFuzzer: FOVEA_PARSER says which. What a file holds may be refused with an
// Error whose message is printable; anything else is a fault.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <stdexcept>

#include "command_line.h"
#include "fovea/core/check.h"
#include "fovea/core/safetensors.h"
#include "fovea/data/cifar.h"
#include "fovea/data/idx.h"
#include "fovea/data/npy.h"
#include "fovea/kernels/cuda/conv/cache.h"
#include "fovea/training/checkpoint.h"
#include "image_file.h"
#include "settings.h"
#include "unpack.h"

namespace fovea {
namespace {

using Bytes = std::span<const std::byte>;

std::string text_of(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "fuzz: %s\n", what);
  std::abort();
}

/// A file of its own, in memory.
class MemoryFile {
 public:
  explicit MemoryFile(Bytes bytes) : descriptor_(memfd_create("fuzz", MFD_CLOEXEC)) {
    require(write(descriptor_, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()),
            "no memory");
  }
  ~MemoryFile() { close(descriptor_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  std::string path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

 private:
  int descriptor_;
};

void parse_safetensors_file(Bytes bytes) {
  const SafetensorsFile file = parse_safetensors(bytes, "fuzz");
  for (const NamedTensor& entry : file.tensors) require(file.find(entry.name) != nullptr, "a tensor is lost");
}

void parse_checkpoint(Bytes bytes) {
  read_checkpoint(MemoryFile(bytes).path());
}

/// Two rows of CIFAR-10, by parse_cifar or parse_cifar_pickle.
template <auto kParse>
void parse_rows(Bytes bytes) {
  Tensor images = Tensor::empty({2, 32, 32, 3}, Dtype::u8), labels = Tensor::empty({2}, Dtype::i32);
  kParse(bytes, cifar10_format(), "fuzz", images, labels);
  for (const int32_t label : labels.span<int32_t>()) require(label >= 0 && label < 10, "a label is wrong");
}

/// As it is, and inflated.
void parse_idx_file(Bytes bytes) {
  const Shape shape{3, 5, 7};
  try {
    parse_idx(bytes, shape, "fuzz");
  } catch (const DataError&) {
    parse_idx(gunzip(bytes, 16 + 105, "fuzz"), shape, "fuzz");
  }
}

/// As images and as labels.
void parse_npy_file(Bytes bytes) {
  const MemoryFile file(bytes);
  try {
    const NpyImages images(file.path());
    require(images.read(images.shape()[0] - 1).shape(2) == 3, "an image has another number of channels");
  } catch (const DataError&) {
    const NpyHeader header = parse_npy_header(text_of(bytes), bytes.size(), "fuzz");
    if (header.shape.rank() != 1) return;
    const std::vector<int32_t> labels = read_npy_labels(file.path(), header.shape[0]);
    require(std::ssize(labels) == header.shape[0], "a label is lost");
  }
}

void parse_png_file(Bytes bytes) {
  constexpr size_t kWidthEnd = 24;
  if (bytes.size() > kWidthEnd && (bytes[18] != std::byte{0} || bytes[22] != std::byte{0}))
    return;  // too slow
  require(parse_png(bytes, "fuzz").shape(2) == 3, "an image has another number of channels");
}

/// Of at most 255 pixels a side in what may be a frame; another kind of file is told by its first bytes.
void parse_jpeg_file(Bytes bytes) {
  if (!is_image(bytes)) {
    parse_image(bytes, "fuzz");
    return;
  }
  const auto at = [&](size_t i) { return std::to_integer<int>(bytes[i]); };
  for (size_t i = 0; i + 8 < bytes.size(); ++i) {
    if (at(i) == 0xff && at(i + 1) >> 4 == 0xc && (at(i + 5) != 0 || at(i + 7) != 0)) return;  // too slow
  }
  require(parse_jpeg(bytes, "fuzz").shape(2) == 3, "an image has another number of channels");
}

void parse_archive(Bytes bytes) {
  const MemoryFile file(bytes);
  // What is taken out cannot be written anywhere.
  unpack_tar_gz(file.path(), {{"a/b", "b", 0, 5000}}, "/proc/self/nothing", {});
}

void parse_settings(Bytes bytes) {
  using namespace cli;
  Settings settings, again;
  apply_toml(settings, text_of(bytes), "fuzz");
  const std::string text = to_toml(settings, Selection::all);
  apply_toml(again, text, "again");
  require(to_toml(again, Selection::all) == text, "settings are not read back as they were");
}

void parse_choices(Bytes bytes) {
  const auto choice = kernels::cuda::choice_from(text_of(bytes));
  if (!choice) return;
  const auto again = kernels::cuda::choice_from(kernels::cuda::text_of(*choice));
  require(again && *again == *choice, "a choice is not read back as it was");
}

/// A word a line.
void parse_words(Bytes bytes) {
  const std::string text = text_of(bytes);
  std::vector<std::string> words{"cifar_trainer"};
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    words.push_back(text.substr(begin, end - begin).c_str());  // up to a NUL
    begin = end + 1;
  }
  std::vector<const char*> arguments;
  for (const std::string& word : words) arguments.push_back(word.c_str());
  const auto parsed = cli::parse_command_line(static_cast<int>(arguments.size()), arguments.data());
  cli::Settings settings;
  if (parsed) cli::apply_overrides(settings, parsed->settings);
}

using Parser = void (*)(Bytes);

Parser chosen_parser() {
  static const std::map<std::string, Parser> parsers{{"safetensors", parse_safetensors_file},
                                                     {"checkpoint", parse_checkpoint},
                                                     {"cifar", parse_rows<parse_cifar>},
                                                     {"pickle", parse_rows<parse_cifar_pickle>},
                                                     {"idx", parse_idx_file},
                                                     {"npy", parse_npy_file},
                                                     {"png", parse_png_file},
                                                     {"jpeg", parse_jpeg_file},
                                                     {"archive", parse_archive},
                                                     {"settings", parse_settings},
                                                     {"choices", parse_choices},
                                                     {"command_line", parse_words}};
  const char* name = std::getenv("FOVEA_PARSER");
  const auto found = parsers.find(name != nullptr ? name : "");
  if (found != parsers.end()) return found->second;
  std::fprintf(stderr, "fuzz: FOVEA_PARSER is one of");
  for (const auto& [known, parser] : parsers) std::fprintf(stderr, " %s", known.c_str());
  std::fprintf(stderr, "\n");
  std::exit(2);
}

}  // namespace
}  // namespace fovea

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fovea;
  static const Parser parser = chosen_parser();
  // A copy of just that size, so that the sanitizer sees a byte beyond its end.
  const auto* begin = reinterpret_cast<const std::byte*>(data);
  const std::vector<std::byte> bytes(begin, begin + size);
  try {
    parser(bytes);
  } catch (const Error& error) {
    const std::string message = error.what();
    require(message == printable(message), "the message of an error is not printable");
    require(message.size() < 5000, "the message of an error is too long");
  }
  return 0;
}
