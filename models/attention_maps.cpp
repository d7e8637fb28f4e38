#include "fovea/models/attention_maps.h"

#include <map>

#include "fovea/core/check.h"

namespace fovea {

std::vector<AttentionMaps> attention_maps(Model& model, const Tensor& images) {
  std::map<const Module*, std::string> paths;
  for_each_module(model, [&](const std::string& path, Module& module) { paths[&module] = path; });
  const auto kept = [](const Variable& x) { return F::cast(x, Dtype::f32).value().to(Device::cpu()); };
  std::vector<AttentionMaps> result;
  const MergeObserver observer([&](const AttentionModule& module, const Variable& logits,
                                   const Variable& trunk, const Variable& merged) {
    result.push_back({.path = paths[&module],
                      .mask = kept(module.mask_of(logits)),
                      .trunk = kept(trunk),
                      .merged = kept(merged)});
  });
  const NoGrad no_grad;
  const EvaluationMode evaluation(model);
  model.forward(images);
  check<UsageError>(!result.empty(), "attention_maps: the model has no attention modules");
  return result;
}

}  // namespace fovea
