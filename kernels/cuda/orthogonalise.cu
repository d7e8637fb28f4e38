#include "fovea/kernels/orthogonalise.h"

#include "fovea/kernels/cuda/block_reduce.h"
#include "fovea/kernels/cuda/elements.h"
#include "fovea/kernels/matmul.h"

namespace fovea::kernels::cuda {
namespace {

constexpr int kNormThreads = 1024;

/// The one block divides all numbers by the root of the sum of their squares: a thread goes over every
/// kNormThreads-th, once to add and once to divide.
__global__ void __launch_bounds__(kNormThreads, 1)
    normalise_matrix_kernel(int64_t count, float epsilon, float* x) {
  float sum = 0;
  for (int64_t i = threadIdx.x; i < count; i += kNormThreads) sum += x[i] * x[i];
  const float factor = 1 / (sqrtf(cuda::block_sum<kNormThreads>(sum)) + epsilon);
  for (int64_t i = threadIdx.x; i < count; i += kNormThreads) x[i] *= factor;
}

struct WeightedSum {
  float x_factor, y_factor;
  __device__ float operator()(float x, float y) const { return x_factor * x + y_factor * y; }
};

/// result = x_factor * x + y_factor * y; result may be one of them.
void add_weighted(double x_factor, const Tensor& x, double y_factor, const Tensor& y, Tensor& result) {
  const WeightedSum sum{static_cast<float>(x_factor), static_cast<float>(y_factor)};
  map_elements("orthogonalise", result.size(), result.data<float>(), sum, x.data<float>(), y.data<float>());
}

void orthogonalise_one(const MatrixPlace& place, const NewtonSchulz& iteration, Tensor x) {
  launch("orthogonalise", normalise_matrix_kernel, Grid{dim3(1), dim3(kNormThreads)}, x.size(),
         static_cast<float>(iteration.epsilon), x.data<float>());
  const bool is_tall = place.rows > place.columns;
  const Tensor none;
  Tensor gram = Tensor::empty({place.rank(), place.rank()}, x.dtype(), x.device());
  Tensor polynomial = Tensor::empty(gram.shape(), x.dtype(), x.device());
  Tensor product = Tensor::empty(x.shape(), x.dtype(), x.device());
  for (int round = 0; round < iteration.rounds; ++round) {
    matmul_forward(x, /*transpose_a=*/is_tall, x, /*transpose_b=*/!is_tall, none, gram);
    matmul_forward(gram, false, gram, false, none, polynomial);
    add_weighted(iteration.b, gram, iteration.c, polynomial, polynomial);
    matmul_forward(is_tall ? x : polynomial, false, is_tall ? polynomial : x, false, none, product);
    const double scale = round + 1 == iteration.rounds ? place.scale() : 1;
    add_weighted(scale * iteration.a, x, scale, product, x);
  }
}

}  // namespace

void orthogonalise(std::span<const MatrixPlace> matrices, const NewtonSchulz& iteration, Tensor& x) {
  check(x.dtype() == Dtype::f32, "orthogonalise: dtype is ", x.dtype(), ", wanted f32 on a CUDA device");
  for (const MatrixPlace& place : matrices) {
    if (place.size() == 0) continue;
    orthogonalise_one(place, iteration, x.slice(place.offset, {place.rows, place.columns}));
  }
}

}  // namespace fovea::kernels::cuda
