#pragma once

// Nothing of it is wanted on the host: see kernels/cuda/convert.h.
