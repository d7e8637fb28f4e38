#include "initial_weights.h"

#include <algorithm>
#include <map>
#include <utility>

#include "fovea/core/check.h"
#include "fovea/core/printable.h"
#include "fovea/core/suggestion.h"
#include "fovea/training/non_finite.h"

namespace fovea::cli {
namespace {

// Whether one shape is the other, but for an extent that is the number of classes.
bool differs_by_classes(const Shape& there, int64_t classes_there, const Shape& here, int64_t classes) {
  if (there.rank() != here.rank() || classes_there == classes) return false;
  int differing = 0;
  for (int axis = 0; axis < here.rank(); ++axis) {
    if (there[axis] == here[axis]) continue;
    if (there[axis] != classes_there || here[axis] != classes) return false;
    ++differing;
  }
  return differing == 1;
}

// Numbers stand for names where a dataset's folder has no file of names.
bool are_numbers(const std::vector<std::string>& names) {
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i] != std::to_string(i)) return false;
  }
  return true;
}

}  // namespace

std::string InitialWeights::text(const std::string& file) const {
  const std::string rest = fresh.empty() ? "" : "; not taken, and as in a new network: " + joined(fresh);
  const std::string exactly = converted == 0 ? "" : str(", ", converted, " of them converted exactly");
  return str(taken.size(), " tensors taken from ", file, exactly, rest);
}

InitialWeights take_weights(const Checkpoint& checkpoint, int64_t classes_there, Module& module,
                            int64_t classes) {
  check_finite(checkpoint.model, str("init: ", checkpoint.where, ": "), kAdviceOnFile);
  std::map<std::string, Tensor> unused;
  for (const NamedTensor& entry : checkpoint.model) unused.emplace(entry.name, entry.tensor);
  InitialWeights result;
  std::vector<std::pair<Tensor, Tensor>> pairs;
  std::vector<std::string> wrong;
  for (const NamedTensor& target : weights_of(module)) {
    const auto found = unused.find(target.name);
    if (found == unused.end()) {
      const auto other = std::find_if(checkpoint.others.begin(), checkpoint.others.end(),
                                      [&](const OtherTensor& entry) { return entry.name == target.name; });
      wrong.push_back(target.name + (other == checkpoint.others.end()
                                         ? " (only in the new network)"
                                         : str(" (", other->dtype, other->shape, " there, ",
                                               target.tensor.dtype(), target.tensor.shape(), " here)")));
      continue;
    }
    const Tensor source = found->second;
    unused.erase(found);
    const std::string both = str(target.name, " (", source.dtype(), source.shape(), " there, ",
                                 target.tensor.dtype(), target.tensor.shape(), " here)");
    if (!holds_exactly(source.dtype(), target.tensor.dtype())) {
      wrong.push_back(both);
    } else if (source.shape() == target.tensor.shape()) {
      pairs.emplace_back(source, target.tensor);
      result.taken.push_back(target.name);
      result.converted += source.dtype() == target.tensor.dtype() ? 0 : 1;
    } else if (differs_by_classes(source.shape(), classes_there, target.tensor.shape(), classes)) {
      result.fresh.push_back(both);
    } else {
      wrong.push_back(both);
    }
  }
  for (const auto& [name, tensor] : unused)
    wrong.push_back(printable(name, /*most=*/100) + " (only in the file)");
  constexpr size_t kShown = 5;
  const size_t count = wrong.size();
  if (count > kShown) wrong.resize(kShown);
  check<CheckpointError>(wrong.empty(), "init: ", checkpoint.where, " is of another network: ", joined(wrong),
                         count > kShown ? str(" and ", count - kShown, " more") : "",
                         "; wanted the same but for the number of classes; leave --model and its options out "
                         "to have the file's");
  for (auto& [source, target] : pairs) copy_exactly(source, target);
  return result;
}

std::string other_class_names(const std::vector<std::string>& names_there, const std::string& there,
                              const std::vector<std::string>& names, const std::string& dataset) {
  if (names_there == names || names_there.size() != names.size()) return "";
  if (are_numbers(names_there) || are_numbers(names)) return "";  // which are not known
  size_t first = 0;
  while (names_there[first] == names[first]) ++first;
  return str("warning: ", there, " knows other classes than ", dataset, ": class ", first, " is ",
             in_quotes(names_there[first]), " there and ", in_quotes(names[first]), " here");
}

}  // namespace fovea::cli
