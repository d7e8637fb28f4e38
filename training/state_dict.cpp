#include "fovea/training/state_dict.h"

#include <algorithm>
#include <cstring>

#include "fovea/core/check.h"
#include "fovea/training/channels_first.h"
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

/// As a state dict has it.
Tensor state_of(const Tensor& tensor) {
  return tensor.rank() == 4 ? channels_first(tensor) : tensor.clone();
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
    result.push_back({state_name(entry.name), state_of(entry.tensor)});
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
    loaded.push_back({state_name(entry.name), state_of(entry.tensor)});
  }
  const size_t converted = copy_by_name(given, loaded, where, file.others);
  check_variances(loaded, where);
  for (size_t i = 0; i < weights.size(); ++i) {
    const Tensor& numbers = loaded[i].tensor;
    weights[i].tensor.copy_from(numbers.rank() == 4 ? channels_last(numbers) : numbers);
  }
  return converted;
}

}  // namespace fovea
