#include "fovea/core/safetensors.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <functional>

#define XXH_INLINE_ALL
#ifdef __AVX512F__
#define XXH_VECTOR XXH_AVX2  // GCC 12's own AVX-512 header warns (GCC bug 105593)
#endif
#include <xxhash.h>

#include "fovea/core/atomic_file.h"
#include "fovea/core/check.h"
#include "fovea/core/safetensors_header.h"

namespace fovea {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors files hold little-endian numbers");

constexpr size_t kLengthBytes = 8;                    // the length of the header comes first
constexpr uint64_t kMaxHeaderBytes = 100'000'000;     // the format's own limit
constexpr const char* kChecksumPrefix = "xxh3_128.";  // + the tensor's name: 32 hexadecimal digits

/// Copies the file's bytes from `offset` on to `destination`.
using ReadBytes = std::function<void(uint64_t offset, void* destination, size_t count)>;

std::string checksum_of(const Tensor& tensor) {
  const XXH128_hash_t hash = XXH3_128bits(tensor.raw(), tensor.bytes());
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, hash);
  std::string text;
  for (const unsigned char byte : canonical.digest) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

/// Compares the tensors with the checksums among the metadata, and takes those out.
void verify_checksums(SafetensorsFile& file, const std::string& where) {
  const std::string prefix = kChecksumPrefix;
  for (const NamedTensor& entry : file.tensors) {
    const auto stored = file.metadata.find(prefix + entry.name);
    if (stored == file.metadata.end()) continue;
    const std::string found = checksum_of(entry.tensor);
    check<CheckpointError>(found == stored->second, "safetensors: ", where, ": tensor \"", entry.name,
                           "\" has XXH3-128 ", found, ", its checksum says ", stored->second,
                           "; the file is damaged, use an earlier one");
    file.metadata.erase(stored);
  }
  const auto orphan = file.metadata.lower_bound(prefix);
  check<CheckpointError>(orphan == file.metadata.end() || !orphan->first.starts_with(prefix),
                         "safetensors: ", where, ": there is a checksum \"",
                         orphan == file.metadata.end() ? "" : orphan->first, "\" but no tensor of that name");
}

SafetensorsFile read_all(uint64_t file_bytes, const std::string& where, const ReadBytes& read) {
  check<CheckpointError>(file_bytes >= kLengthBytes, "safetensors: ", where, ": the file has ", file_bytes,
                         " bytes, wanted at least ", kLengthBytes);
  uint64_t header_bytes = 0;
  read(0, &header_bytes, kLengthBytes);
  check<CheckpointError>(header_bytes <= kMaxHeaderBytes, "safetensors: ", where,
                         ": offset 0: the header's length is ", header_bytes, ", at most ", kMaxHeaderBytes,
                         " is allowed");
  check<CheckpointError>(header_bytes <= file_bytes - kLengthBytes, "safetensors: ", where,
                         ": offset 0: the header's length is ", header_bytes, ", but only ",
                         file_bytes - kLengthBytes, " bytes follow");
  std::string text(header_bytes, '\0');
  read(kLengthBytes, text.data(), text.size());

  const uint64_t data_begin = kLengthBytes + header_bytes;
  SafetensorsHeader header = parse_safetensors_header(text, file_bytes - data_begin, where);
  SafetensorsFile file;
  file.metadata = std::move(header.metadata);
  for (const SafetensorsEntry& entry : header.entries) {
    Tensor tensor = Tensor::empty(entry.shape, entry.dtype);
    read(data_begin + entry.begin, tensor.raw(), tensor.bytes());
    file.tensors.push_back({entry.name, tensor});
  }
  verify_checksums(file, where);
  return file;
}

}  // namespace

const Tensor* SafetensorsFile::find(const std::string& name) const {
  const auto entry = std::find_if(tensors.begin(), tensors.end(),
                                  [&](const NamedTensor& candidate) { return candidate.name == name; });
  return entry == tensors.end() ? nullptr : &entry->tensor;
}

SafetensorsFile parse_safetensors(std::span<const std::byte> bytes, const std::string& where) {
  return read_all(bytes.size(), where, [&](uint64_t offset, void* destination, size_t count) {
    if (count > 0) std::memcpy(destination, bytes.data() + offset, count);
  });
}

SafetensorsFile read_safetensors(const std::string& path) {
  const ReadableFile source(path);
  return read_all(source.size(), path, [&](uint64_t offset, void* destination, size_t count) {
    source.read(offset, destination, count);
  });
}

void write_safetensors(const std::string& path, const SafetensorsFile& file) {
  // Wide elements first, as other writers do: every tensor is then aligned for its dtype.
  std::vector<NamedTensor> tensors = file.tensors;
  std::stable_sort(tensors.begin(), tensors.end(), [](const NamedTensor& a, const NamedTensor& b) {
    return size_of(a.tensor.dtype()) > size_of(b.tensor.dtype());
  });
  SafetensorsHeader header;
  header.metadata = file.metadata;
  uint64_t end = 0;
  for (const NamedTensor& entry : tensors) {
    check<CheckpointError>(entry.tensor.defined() && entry.tensor.device().is_cpu(), "safetensors: ", path,
                           ": tensor \"", entry.name, "\" is not on the CPU");
    const uint64_t begin = end;
    end += entry.tensor.bytes();
    header.entries.push_back({entry.name, entry.tensor.dtype(), entry.tensor.shape(), begin, end});
    header.metadata[kChecksumPrefix + entry.name] = checksum_of(entry.tensor);
  }
  const std::string text = safetensors_header_text(header, path);
  check<CheckpointError>(text.size() <= kMaxHeaderBytes, "safetensors: ", path, ": the header would have ",
                         text.size(), " bytes, at most ", kMaxHeaderBytes, " are allowed");

  AtomicFile out(path);
  const uint64_t header_bytes = text.size();
  out.write(&header_bytes, kLengthBytes);
  out.write(text.data(), text.size());
  for (const NamedTensor& entry : tensors) out.write(entry.tensor.raw(), entry.tensor.bytes());
  out.commit();
}

}  // namespace fovea
