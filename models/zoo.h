#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fovea/models/preact_resnet.h"
#include "fovea/models/residual_attention.h"

#pragma GCC visibility push(default)
namespace fovea {

/// What may be changed in a named model; what is not set stays as that model has it. The options of attention
/// modules are only for models that have some.
struct ModelOptions : AttentionOptions {
  std::optional<int64_t> classes{};     // 10; the ImageNet forms 1000
  std::optional<int64_t> input_size{};  // height and width: 32; the ImageNet forms 224
};

/// The models that have a name: the attention networks for 32x32 images by number of parameters, then the
/// ImageNet forms by the same, then the baseline without attention.
std::vector<std::string> model_names();
/// A model with initial values from `seed`. UsageError for an unknown name (it suggests the nearest) and for
/// an option that the model does not have.
std::unique_ptr<Model> make_model(const std::string& name, const ModelOptions& options, uint64_t seed);

/// The settings behind a name, changed by the options; UsageError for a model that is not of this family.
ResidualAttentionSettings residual_attention_settings(const std::string& name,
                                                      const ModelOptions& options = {});
/// The height and width for which a named model is made, unless the options say otherwise.
int64_t model_input_size(const std::string& name, const ModelOptions& options = {});

/// The least height and width of images that a named model takes.
int64_t smallest_input_size(const std::string& name, const ModelOptions& options = {});

}  // namespace fovea
#pragma GCC visibility pop
