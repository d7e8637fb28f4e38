#pragma once

#include "fovea/kernels/kernel.h"

/// What a training step keeps account of. Numbers that change from step to step are tensors on the step's
/// device, so that a captured step can be replayed.
namespace fovea::kernels {

/// rate = rates[position].  rates: [steps of the epoch], position: i64 [], rate: [], dtype of rates
FOVEA_KERNEL(begin_step, const Tensor& rates, const Tensor& position, Tensor& rate);

/// losses[position] = loss, failures[position] = non_finite, corrects[position] = correct, then position
/// += 1. loss: [], losses: [steps of the epoch], one dtype; non_finite, correct, position: i64 []; failures,
/// corrects: i64, as losses
FOVEA_KERNEL(record_step, const Tensor& loss, const Tensor& non_finite, const Tensor& correct,
             Tensor& position, Tensor& losses, Tensor& failures, Tensor& corrects);

/// steps += 1, unless non_finite is defined and not 0.  steps, non_finite: i64 []
FOVEA_KERNEL(count_step, const Tensor& non_finite, Tensor& steps);

/// What a step has changed stays or not: before = x where non_finite is 0, else x = before.  x, before: one
/// shape and floating dtype, non_finite: i64 []
FOVEA_KERNEL(settle_step, const Tensor& non_finite, Tensor& x, Tensor& before);

/// Dynamic loss scaling (Micikevicius et al., "Mixed precision training", 2018, section 3.2): where
/// non_finite is not 0, scale /= 2, but stays at least 1; else, after the `patience`-th step without such a
/// one, scale *= 2. inverse = 1 / scale, and non_finite = 0. But where non_finite_losses is not 0, which no
/// scale can help, nothing changes. scale, inverse: f32 []; the others: i64 []
FOVEA_KERNEL(update_loss_scale, int64_t patience, const Tensor& non_finite_losses, Tensor& scale,
             Tensor& inverse, Tensor& good_steps, Tensor& non_finite);

}  // namespace fovea::kernels
