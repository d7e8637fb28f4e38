#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "fovea/core/tensor.h"

#pragma GCC visibility push(default)
namespace fovea {

/// A tensor under a name.
struct NamedTensor {
  std::string name;
  Tensor tensor;
};

/// A tensor of a file that was passed over, because Fovea has no numbers of its dtype ("BOOL", "I16", ...).
struct OtherTensor {
  std::string name, dtype;
  Shape shape;
};

/// Whether every number of `from` is one of `to`: f16 and bf16 go into f32 and f64, f32 into f64.
bool holds_exactly(Dtype from, Dtype to);
/// Copies a tensor of the same shape and the same or a narrower dtype, see holds_exactly, into another.
void copy_exactly(const Tensor& source, Tensor& target);

/// Copies the numbers of each source into the target of the same name, and returns how many tensors were
/// converted, which is exact: from f16 or bf16 to f32 or f64, and from f32 to f64. CheckpointError names what
/// is missing, unexpected, or of another shape or dtype, and `where`; then no target has changed. `others`
/// are for its message where one of them is wanted; those that are not wanted do not matter.
size_t copy_by_name(std::span<const NamedTensor> sources, std::span<const NamedTensor> targets,
                    const std::string& where, std::span<const OtherTensor> others = {});

/// What a safetensors file holds: tensors in the order of their bytes, and texts under keys.
struct SafetensorsFile {
  std::vector<NamedTensor> tensors;
  std::map<std::string, std::string> metadata{};
  std::vector<OtherTensor> others{};  // passed over when the file was read, and not written

  /// The tensor of that name; nullptr if there is none.
  const Tensor* find(const std::string& name) const;
};

/// Reads the bytes of a file of the safetensors format; `where` names it in messages. Strict: CheckpointError
/// with the offset or the tensor for anything that is damaged, overlaps, leaves a hole or does not belong.
/// Tensors of the format's other dtypes are passed over. Checksums that write_safetensors has stored are
/// verified, and the error says what was changed since.
SafetensorsFile parse_safetensors(std::span<const std::byte> bytes, const std::string& where);

/// Parses a file; reads each tensor straight into its place.
SafetensorsFile read_safetensors(const std::string& path);

/// Writes the file whole or not at all: into `path`.part, then fsync, rename and fsync of the folder, so that
/// a crash at any moment leaves the old or the new file. Adds the XXH3-128 of every tensor and of the
/// metadata. CheckpointError if that fails (full disk, no permission); then the old file is untouched.
void write_safetensors(const std::string& path, const SafetensorsFile& file);

}  // namespace fovea
#pragma GCC visibility pop
