#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "fovea/core/safetensors.h"
#include "fovea/layers/module.h"

#pragma GCC visibility push(default)
namespace fovea {

/// The weights of a network of models/ as the same network of tools/fovea_torch.py has them in its
/// state_dict(): filters are [K, C, R, S] instead of [K, R, S, C], `modules` is called `attention_modules`
/// and `running_variance` `running_var`. A new tensor each, with the same numbers and dtype. To every batch
/// norm its `num_batches_tracked`, i64 [], is added: `batches`.
std::vector<NamedTensor> state_dict_of(std::span<const NamedTensor> weights, int64_t batches);

/// Copies the numbers of a state_dict() into the parameters and buffers of a module on the CPU, and returns
/// how many tensors were converted, see copy_by_name. `module.` before every name, as DataParallel writes it,
/// and `num_batches_tracked` are passed over. CheckpointError, with the names of the file, for what is
/// missing, unexpected, of another shape or dtype, and for a variance below 0; Error for numbers that are not
/// finite; `where` names the file. Then nothing has changed.
size_t load_state_dict(Module& module, const SafetensorsFile& file, const std::string& where);

}  // namespace fovea
#pragma GCC visibility pop
