#include "fovea/training/non_finite.h"

#include <algorithm>

#include "fovea/core/check.h"
#include "fovea/kernels/count_non_finite.h"
#include "fovea/training/rank_sums.h"

namespace fovea {
namespace {

int64_t count_non_finite(const Tensor& x) {
  if (!is_floating(x.dtype())) return 0;
  Tensor count = Tensor::zeros({}, Dtype::i64, x.device());
  kernels::count_non_finite(x, count);
  return static_cast<int64_t>(count.item());
}

/// "stages.0.unit.conv" of "stages.0.unit.conv.weight"
std::string layer_of(const std::string& parameter_path) {
  const size_t dot = parameter_path.rfind('.');
  return dot == std::string::npos ? "the model itself" : parameter_path.substr(0, dot);
}

/// What is wrong with a parameter or a buffer; "" if all of it is finite.
std::string complaint(const char* kind, const std::string& path, const Tensor& value) {
  const int64_t count = count_non_finite(value);
  return count == 0 ? "" : str(kind, path, " (", value, ") has ", count, " numbers that are not finite");
}

}  // namespace

std::string non_finite_weight(Module& module) {
  for (const NamedParameter& parameter : named_parameters(module)) {
    const std::string found = complaint("parameter ", parameter.path, parameter.variable.value());
    if (!found.empty()) return found;
  }
  for (const NamedBuffer& buffer : named_buffers(module)) {
    const std::string found = complaint("buffer ", buffer.path, buffer.tensor);
    if (!found.empty()) return found;
  }
  return "";
}

void check_finite(std::span<const NamedTensor> tensors, const std::string& what, const std::string& advice) {
  // One count for all on a device, which is waited for once.
  std::vector<Tensor> counts;
  for (const NamedTensor& entry : tensors) {
    const Tensor& x = entry.tensor;
    if (!is_floating(x.dtype())) continue;
    if (counts.empty() || counts.back().device() != x.device()) {
      counts.push_back(Tensor::zeros({}, Dtype::i64, x.device()));
    }
    kernels::count_non_finite(x, counts.back());
  }
  if (std::all_of(counts.begin(), counts.end(), [](const Tensor& count) { return count.item() == 0; }))
    return;
  for (const NamedTensor& entry : tensors) {
    const std::string found = complaint("", printable(entry.name, /*most=*/100), entry.tensor);
    if (!found.empty()) throw Error(str(what, found, "; ", advice));
  }
}

NonFiniteCause explain_non_finite(Module& module, const std::function<void()>& forward) {
  if (const std::string weight = non_finite_weight(module); !weight.empty()) return {weight, kCommonPlace};
  const std::vector<NamedParameter> parameters = named_parameters(module);

  std::string answer, layer;
  int64_t operations = kGradientPlace;
  const OperationObserver observer([&](std::string_view operation, const Tensor& y,
                                       std::span<const Variable> inputs) {
    if (!answer.empty()) return;
    ++operations;
    bool is_of_layer = false;
    for (const Variable& input : inputs) {
      const auto parameter =
          std::find_if(parameters.begin(), parameters.end(),
                       [&](const NamedParameter& candidate) { return candidate.variable.same_as(input); });
      if (parameter == parameters.end()) continue;
      is_of_layer = true;
      layer = layer_of(parameter->path);
    }
    const int64_t count = count_non_finite(y);
    if (count == 0) return;
    answer = str("operation ", operation, is_of_layer ? " of layer " : " after layer ",
                 layer.empty() ? "none, on the images" : layer, " is the first whose result (", y,
                 ") has numbers", " that are not finite: ", count);
  });
  const NoGrad no_grad;
  forward();
  if (!answer.empty()) return {answer, operations};
  return {"a second forward pass gave finite numbers: the memory may be faulty", kNoPlace};
}

NonFiniteCause first_of_ranks(Ranks* ranks, const NonFiniteCause& own) {
  if (ranks == nullptr) return own;
  const Tensor place = Tensor::from<int64_t>({own.place}, {});
  Tensor places = Tensor::zeros({ranks->size()}, Dtype::i64);
  ranks->gather(place, places);
  const auto* const all = places.data<int64_t>();
  const auto first = std::min_element(all, all + ranks->size()) - all;
  NonFiniteCause cause{text_of_rank(*ranks, first, own.sentence), all[first],
                       text_of_rank(*ranks, first, own.what)};
  const bool is_of_share = cause.place != kCommonPlace && cause.place != kNoPlace;
  if (is_of_share) cause.sentence += str(" (in the share of rank ", first, ")");
  return cause;
}

}  // namespace fovea
