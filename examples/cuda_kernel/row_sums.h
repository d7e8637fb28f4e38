#pragma once

/// y[r] = x[r, 0] + x[r, 1] + ...  x: [rows, columns], y: [rows]; both on the CPU. Throws what CUDA says.
void row_sums(const float* x, int rows, int columns, float* y);
