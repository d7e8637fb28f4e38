#pragma once

#include "fovea/core/autograd.h"

namespace fovea {

/// Mean and (biased) variance of every channel of a value, [C] each, over all axes but the last; or
/// undefined.
struct ChannelMoments {
  Tensor mean, variance;
};

/// Attaches to x the moments of its value that its operation computed while writing it, so that a batch norm
/// need not read it for them.
void set_moments(Variable& x, ChannelMoments moments);
/// Those that were noted; undefined where there are none, or where numbers of x have changed since.
ChannelMoments moments_of(const Variable& x);

/// Room for moments of `channels` channels, which a kernel writes, in the dtype that it can give and
/// join_over_ranks takes.
ChannelMoments new_moments(int64_t channels, Dtype dtype, Device device);
/// Makes the moments of this thread's share of a batch those of all of it, in `dtype`, where
/// ranks_of_statistics() share it.
void join_over_ranks(ChannelMoments& moments, Dtype dtype);

}  // namespace fovea
