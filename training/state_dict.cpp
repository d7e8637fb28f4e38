#include "fovea/training/state_dict.h"

#include <algorithm>
#include <cstring>

#include "fovea/core/check.h"
#include "fovea/training/checkpoint.h"
#include "fovea/training/non_finite.h"

namespace fovea {
namespace {

constexpr const char* kBatches = "num_batches_tracked";
constexpr const char* kVariance = "running_var";
constexpr const char* kParallel = "module.";  // before the names of what DataParallel wraps

/// The name in a state dict of the parameter or buffer at `path`.
std::string state_name(const std::string& path) {
  std::string name;
  for (size_t begin = 0; begin < path.size();) {
    const size_t end = std::min(path.find('.', begin), path.size());
    const std::string part = path.substr(begin, end - begin);
    if (begin > 0) name += '.';
    name += part == "modules" ? "attention_modules" : part == "running_variance" ? kVariance : part;
    begin = end + 1;
  }
  return name;
}

/// Swaps the order of the second axis and the rest: [A, B, C] becomes [A, C, B], with elements of any dtype.
void transpose(const Tensor& from, Tensor& to, int64_t A, int64_t B, int64_t C) {
  const size_t size = size_of(from.dtype());
  const auto* source = static_cast<const std::byte*>(from.raw());
  auto* target = static_cast<std::byte*>(to.raw());
  for (int64_t a = 0; a < A; ++a) {
    for (int64_t b = 0; b < B; ++b) {
      for (int64_t c = 0; c < C; ++c) {
        const int64_t at = (a * B + b) * C + c, there = (a * C + c) * B + b;
        std::memcpy(target + static_cast<size_t>(there) * size, source + static_cast<size_t>(at) * size,
                    size);
      }
    }
  }
}

/// Filters [K, R, S, C] as [K, C, R, S]; other tensors as they are.
Tensor channels_first(const Tensor& tensor) {
  if (tensor.rank() != 4) return tensor.clone();
  const Shape s = tensor.shape();
  Tensor result = Tensor::empty({s[0], s[3], s[1], s[2]}, tensor.dtype());
  transpose(tensor, result, s[0], s[1] * s[2], s[3]);
  return result;
}

/// The opposite, into a tensor that is there.
void copy_channels_last(const Tensor& from, Tensor& to) {
  if (from.rank() != 4) return to.copy_from(from);
  const Shape s = from.shape();
  Tensor filters = Tensor::empty(to.shape(), to.dtype());
  transpose(from, filters, s[0], s[1], s[2] * s[3]);
  to.copy_from(filters);
}

bool is_counter(const std::string& name) {
  return name.ends_with(std::string(".") + kBatches);
}

void check_variances(const std::vector<NamedTensor>& tensors, const std::string& where) {
  for (const NamedTensor& entry : tensors) {
    if (!entry.name.ends_with(std::string(".") + kVariance)) continue;
    for (const double variance : entry.tensor.to_doubles()) {
      check<CheckpointError>(variance >= 0, "checkpoint: ", where, ": ", entry.name, " has a variance of ",
                             variance, ", wanted 0 or more; nothing was loaded");
    }
  }
}

}  // namespace

std::vector<NamedTensor> state_dict_of(std::span<const NamedTensor> weights, int64_t batches) {
  std::vector<NamedTensor> result;
  for (const NamedTensor& entry : weights) {
    result.push_back({state_name(entry.name), channels_first(entry.tensor)});
    const std::string& name = result.back().name;
    if (!name.ends_with(std::string(".") + kVariance)) continue;
    Tensor counter = Tensor::zeros({}, Dtype::i64);
    *counter.data<int64_t>() = batches;
    result.push_back({name.substr(0, name.size() - std::strlen(kVariance)) + kBatches, counter});
  }
  return result;
}

size_t load_state_dict(Module& module, const SafetensorsFile& file, const std::string& where) {
  std::vector<NamedTensor> given;
  for (const NamedTensor& entry : file.tensors) {
    if (!is_counter(entry.name)) given.push_back(entry);
  }
  const auto is_wrapped = [](const NamedTensor& entry) { return entry.name.starts_with(kParallel); };
  if (std::all_of(given.begin(), given.end(), is_wrapped)) {
    for (NamedTensor& entry : given) entry.name.erase(0, std::strlen(kParallel));
  }
  check_finite(given, str("checkpoint: ", where, ": "), kAdviceOnFile);

  std::vector<NamedTensor> weights = weights_of(module);
  std::vector<NamedTensor> loaded;
  for (const NamedTensor& entry : weights) {
    loaded.push_back({state_name(entry.name), channels_first(entry.tensor)});
  }
  const size_t converted = copy_by_name(given, loaded, where, file.others);
  check_variances(loaded, where);
  for (size_t i = 0; i < weights.size(); ++i) copy_channels_last(loaded[i].tensor, weights[i].tensor);
  return converted;
}

}  // namespace fovea
