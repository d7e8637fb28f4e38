#pragma once

/// What a figure came from, in the context of fovea_bench's results.
namespace fovea::bench {

/// Adds version, commit, compiler and its flags, processor, and what CUDA is loaded.
void add_build_context();

}  // namespace fovea::bench
