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
#include "fovea/core/file_kind.h"
#include "fovea/core/printable.h"
#include "fovea/core/safetensors_header.h"

namespace fovea {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors files hold little-endian numbers");

constexpr size_t kLengthBytes = 8;                    // the length of the header comes first
constexpr uint64_t kMaxHeaderBytes = 100'000'000;     // the format's own limit
constexpr const char* kChecksumPrefix = "xxh3_128.";  // + the tensor's name; without: of the texts

/// Copies the file's bytes from `offset` on to `destination`.
using ReadBytes = std::function<void(uint64_t offset, void* destination, size_t count)>;

std::string text_of(const XXH128_hash_t& hash) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, hash);
  std::string text;
  for (const unsigned char byte : canonical.digest) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

std::string checksum_of(const Tensor& tensor) {
  return text_of(XXH3_128bits(tensor.raw(), tensor.bytes()));
}

std::string checksum_of(const std::map<std::string, std::string>& metadata) {
  XXH3_state_t state;
  XXH3_INITSTATE(&state);
  XXH3_128bits_reset(&state);
  for (const auto& [key, text] : metadata) {
    // With the zero at its end.
    for (const std::string* part : {&key, &text})
      XXH3_128bits_update(&state, part->c_str(), part->size() + 1);
  }
  return text_of(XXH3_128bits_digest(&state));
}

/// Compares tensors and metadata with the checksums among the metadata, if any, and takes those out.
void verify_checksums(SafetensorsFile& file, const std::string& where) {
  const auto first = file.metadata.lower_bound(kChecksumPrefix);
  if (first == file.metadata.end() || !first->first.starts_with(kChecksumPrefix))
    return;  // another program's file
  const auto take = [&](const std::string& name) {
    const auto stored = file.metadata.extract(kChecksumPrefix + name);
    return stored.empty() ? std::string("missing") : stored.mapped();
  };
  constexpr const char* kAdvice =
      "; if it was edited on purpose, take the entries xxh3_128.* out of its metadata, otherwise it is "
      "damaged: use an earlier one";
  const auto verify = [&](const char* what, const std::string& name, const std::string& stored,
                          const std::string& found) {
    check<CheckpointError>(stored == found, "safetensors: ", where, ": ", what,
                           name.empty() ? "" : in_quotes(name),
                           " was changed after Fovea wrote the file: XXH3-128 is ", found,
                           ", the stored one is ", in_quotes(stored), kAdvice);
  };
  const auto is_new = [&](const std::string& name) {
    return !file.metadata.contains(kChecksumPrefix + name);
  };
  const auto check_known = [&](const std::string& name, bool is_added) {
    check<CheckpointError>(!is_added, "safetensors: ", where, ": tensor ", in_quotes(name),
                           " was added after Fovea wrote the file", kAdvice);
  };
  for (const NamedTensor& entry : file.tensors) check_known(entry.name, is_new(entry.name));
  for (const OtherTensor& entry : file.others) check_known(entry.name, true);  // Fovea writes none
  for (const NamedTensor& entry : file.tensors)
    verify("tensor ", entry.name, take(entry.name), checksum_of(entry.tensor));
  const std::string of_metadata = take("");
  if (const auto rest = file.metadata.lower_bound(kChecksumPrefix);
      rest != file.metadata.end() && rest->first.starts_with(kChecksumPrefix)) {
    throw CheckpointError(str("safetensors: ", where, ": tensor ",
                              in_quotes(rest->first.substr(std::strlen(kChecksumPrefix))),
                              " was taken out after Fovea wrote the file", kAdvice));
  }
  verify("the metadata", "", of_metadata, checksum_of(file.metadata));
}

/// A file whose first 8 bytes are no length that a header may have: what it is, where that is known.
[[noreturn]] void refuse_length(uint64_t header_bytes, uint64_t file_bytes, const std::string& where,
                                const ReadBytes& read) {
  std::string begin(std::min<uint64_t>(file_bytes, kFileKindBytes), '\0');
  read(0, begin.data(), begin.size());
  const bool is_cut_header = begin.substr(kLengthBytes, 1) == "{" && header_bytes <= kMaxHeaderBytes;
  if (const std::string kind = kind_of_file(begin); !kind.empty() && !is_cut_header) {
    throw CheckpointError(
        str("safetensors: ", where, ": offset 0: ", kind, " found, wanted a safetensors file"));
  }
  const bool is_allowed = header_bytes <= kMaxHeaderBytes;
  throw CheckpointError(str("safetensors: ", where, ": offset 0: the header's length is ", header_bytes,
                            is_allowed ? ", but only " : ", at most ",
                            is_allowed ? file_bytes - kLengthBytes : kMaxHeaderBytes,
                            is_allowed ? " bytes follow" : " is allowed"));
}

SafetensorsFile read_all(uint64_t file_bytes, const std::string& where, const ReadBytes& read) {
  check<CheckpointError>(file_bytes >= kLengthBytes, "safetensors: ", where, ": the file has ", file_bytes,
                         " bytes, wanted at least ", kLengthBytes);
  uint64_t header_bytes = 0;
  read(0, &header_bytes, kLengthBytes);
  if (header_bytes > std::min(kMaxHeaderBytes, file_bytes - kLengthBytes))
    refuse_length(header_bytes, file_bytes, where, read);
  const uint64_t data_begin = kLengthBytes + header_bytes;
  SafetensorsHeader header = [&] {  // whose text is freed before the tensors get their memory
    std::string text(header_bytes, '\0');
    read(kLengthBytes, text.data(), text.size());
    return parse_safetensors_header(text, file_bytes - data_begin, where);
  }();
  SafetensorsFile file;
  file.metadata = std::move(header.metadata);
  file.tensors.reserve(header.entries.size());
  for (SafetensorsEntry& entry : header.entries) {
    if (!entry.other_dtype.empty()) {
      file.others.push_back({std::move(entry.name), std::move(entry.other_dtype), entry.shape});
      continue;
    }
    Tensor tensor = Tensor::empty(entry.shape, entry.dtype);
    read(data_begin + entry.begin, tensor.raw(), tensor.bytes());
    file.tensors.push_back({std::move(entry.name), tensor});
  }
  verify_checksums(file, where);
  return file;
}

/// "3 tensors are missing (a, b, c)"; at most three are named.
std::string complaint(const std::vector<std::string>& names, const char* problem) {
  if (names.empty()) return "";
  constexpr size_t kMostShown = 200;  // bytes of each
  std::string text =
      str("; ", names.size(), names.size() == 1 ? " tensor is " : " tensors are ", problem, " (");
  for (size_t i = 0; i < std::min<size_t>(names.size(), 3); ++i)
    text += (i > 0 ? ", " : "") + printable(names[i], kMostShown);
  return text + (names.size() > 3 ? ", ...)" : ")");
}

Tensor converted(const Tensor& source, Dtype dtype) {
  const Tensor on_cpu = source.to(Device::cpu());
  Tensor result = Tensor::empty(source.shape(), dtype);
  visit_floating("load", source.dtype(), [&]<class From>() {
    visit_floating("load", dtype, [&]<class To>() {
      const From* in = on_cpu.data<From>();
      To* out = result.data<To>();
      for (int64_t i = 0; i < source.size(); ++i) out[i] = static_cast<To>(static_cast<float>(in[i]));
    });
  });
  return result;
}

}  // namespace

bool holds_exactly(Dtype from, Dtype to) {
  const bool is_half = from == Dtype::f16 || from == Dtype::bf16;
  return from == to || (is_half && to == Dtype::f32) || ((is_half || from == Dtype::f32) && to == Dtype::f64);
}

void copy_exactly(const Tensor& source, Tensor& target) {
  target.copy_from(source.dtype() == target.dtype() ? source : converted(source, target.dtype()));
}

size_t copy_by_name(std::span<const NamedTensor> sources, std::span<const NamedTensor> targets,
                    const std::string& where, std::span<const OtherTensor> others) {
  std::map<std::string, Tensor> unused;
  for (const NamedTensor& source : sources) unused.emplace(source.name, source.tensor);
  std::vector<std::pair<Tensor, Tensor>> pairs;
  std::vector<std::string> missing, unexpected, different;
  for (const NamedTensor& target : targets) {
    const auto source = unused.find(target.name);
    if (source == unused.end()) {
      const auto other = std::find_if(others.begin(), others.end(), [&](const OtherTensor& candidate) {
        return candidate.name == target.name;
      });
      if (other == others.end()) {
        missing.push_back(target.name);
      } else {
        different.push_back(
            str(target.name, ": found ", other->dtype, other->shape, ", wanted ", target.tensor));
      }
      continue;
    }
    const bool fits = source->second.shape() == target.tensor.shape() &&
                      holds_exactly(source->second.dtype(), target.tensor.dtype());
    if (fits) {
      pairs.emplace_back(source->second, target.tensor);
    } else {
      different.push_back(str(target.name, ": found ", source->second, ", wanted ", target.tensor));
    }
    unused.erase(source);
  }
  for (const auto& [name, tensor] : unused) unexpected.push_back(name);
  check<CheckpointError>(missing.empty() && unexpected.empty() && different.empty(), "checkpoint: ", where,
                         " does not fit", complaint(different, "of another shape or dtype"),
                         complaint(missing, "missing"), complaint(unexpected, "unexpected"));
  size_t count = 0;
  for (auto& [source, target] : pairs) {
    copy_exactly(source, target);
    count += source.dtype() == target.dtype() ? 0 : 1;
  }
  return count;
}

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
  std::vector<NamedTensor> tensors;
  for (const NamedTensor& entry : file.tensors) {
    check<CheckpointError>(entry.tensor.defined(), "safetensors: ", path, ": tensor ", in_quotes(entry.name),
                           " is undefined");
    tensors.push_back({entry.name, entry.tensor.to(Device::cpu())});
  }
  std::stable_sort(tensors.begin(), tensors.end(), [](const NamedTensor& a, const NamedTensor& b) {
    return size_of(a.tensor.dtype()) > size_of(b.tensor.dtype());
  });
  SafetensorsHeader header;
  header.metadata = file.metadata;
  header.metadata[kChecksumPrefix] = checksum_of(file.metadata);
  uint64_t end = 0;
  for (const NamedTensor& entry : tensors) {
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
