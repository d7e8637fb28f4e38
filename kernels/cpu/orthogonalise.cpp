#include "fovea/kernels/orthogonalise.h"

#include <Eigen/Core>

#include "fovea/core/parallel_for.h"

namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT {
namespace {

template <class T>
using Map = Eigen::Map<Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>;

/// A matrix whose numbers lie in a tensor of their own.
template <class T>
struct OwnMatrix {
  OwnMatrix(int64_t rows, int64_t columns)
      : memory(Tensor::empty({rows, columns}, dtype_of<T>)), numbers(memory.data<T>(), rows, columns) {}
  Tensor memory;
  Map<T> numbers;
};

template <class T>
void orthogonalise_one(const MatrixPlace& place, const NewtonSchulz& iteration, T* matrix) {
  Map<T> x(matrix, place.rows, place.columns);
  const T a = static_cast<T>(iteration.a), b = static_cast<T>(iteration.b), c = static_cast<T>(iteration.c);
  const bool is_tall = place.rows > place.columns;
  OwnMatrix<T> gram(place.rank(), place.rank()), polynomial(place.rank(), place.rank());
  OwnMatrix<T> product(place.rows, place.columns);
  Map<T>&G = gram.numbers, &P = polynomial.numbers, &Y = product.numbers;
  x *= 1 / (x.norm() + static_cast<T>(iteration.epsilon));
  for (int round = 0; round < iteration.rounds; ++round) {
    if (is_tall) {
      G.noalias() = x.transpose() * x;
    } else {
      G.noalias() = x * x.transpose();
    }
    P.noalias() = G * G;
    P = b * G + c * P;
    if (is_tall) {
      Y.noalias() = x * P;
    } else {
      Y.noalias() = P * x;
    }
    x = a * x + Y;
  }
  x *= static_cast<T>(place.scale());
}

}  // namespace

// A matrix is one thread's from beginning to end: its bits do not depend on the number of threads.
void orthogonalise(std::span<const MatrixPlace> matrices, const NewtonSchulz& iteration, Tensor& x) {
  check(x.dtype() == Dtype::f32 || x.dtype() == Dtype::f64, "orthogonalise: dtype is ", x.dtype(),
        ", wanted f32 or f64");
  const auto each = [&]<class T>(T* numbers) {
    parallel_for(std::ssize(matrices), /*grain=*/1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const MatrixPlace& place = matrices[static_cast<size_t>(i)];
        if (place.size() > 0) orthogonalise_one(place, iteration, numbers + place.offset);
      }
    });
  };
  if (x.dtype() == Dtype::f64) {
    each(x.data<double>());
  } else {
    each(x.data<float>());
  }
}

}  // namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT
