#pragma once

#include "fovea/core/caching_allocator.h"

namespace fovea::cuda {

/// The allocator of a CUDA device. Ordered by the stream: a block that was freed may be handed out while
/// kernels that use it have yet to run, because what writes it next runs after them.
CachingAllocator& allocator_of(int device);

}  // namespace fovea::cuda
