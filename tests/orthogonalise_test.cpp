#include "fovea/kernels/orthogonalise.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <vector>

#include "fovea/core/parallel_for.h"
#include "fovea/core/random.h"
#include "op_test.h"

using namespace fovea;
using namespace fovea::test;
using kernels::MatrixPlace;

namespace {

using Numbers = std::vector<double>;

/// a: [rows, inner] and b: [inner, columns], or with transpose_b [columns, inner], row after row.
Numbers product(const Numbers& a, const Numbers& b, int64_t rows, int64_t inner, int64_t columns,
                bool transpose_b) {
  Numbers y(static_cast<size_t>(rows * columns));
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) {
      for (int64_t k = 0; k < inner; ++k) {
        const int64_t from = transpose_b ? j * inner + k : k * columns + j;
        y[static_cast<size_t>(i * columns + j)] +=
            a[static_cast<size_t>(i * inner + k)] * b[static_cast<size_t>(from)];
      }
    }
  }
  return y;
}

/// As PyTorch's Muon has it, for matrices that are not tall and, transposed, for those that are.
Numbers reference(Numbers x, int64_t rows, int64_t columns) {
  if (rows > columns) {
    const auto transposed = [](const Numbers& from, int64_t height, int64_t width) {
      Numbers to(from.size());
      for (int64_t i = 0; i < height; ++i)
        for (int64_t j = 0; j < width; ++j)
          to[static_cast<size_t>(j * height + i)] = from[static_cast<size_t>(i * width + j)];
      return to;
    };
    Numbers y = transposed(reference(transposed(x, rows, columns), columns, rows), columns, rows);
    for (double& value : y) value *= std::sqrt(static_cast<double>(rows) / static_cast<double>(columns));
    return y;
  }
  double squares = 0;
  for (const double value : x) squares += value * value;
  for (double& value : x) value /= std::sqrt(squares) + 1e-7;
  for (int round = 0; round < 5; ++round) {
    const Numbers gram = product(x, x, rows, columns, rows, /*transpose_b=*/true);
    Numbers polynomial = product(gram, gram, rows, rows, rows, /*transpose_b=*/false);
    for (size_t i = 0; i < gram.size(); ++i) polynomial[i] = -4.7750 * gram[i] + 2.0315 * polynomial[i];
    const Numbers change = product(polynomial, x, rows, rows, columns, /*transpose_b=*/false);
    for (size_t i = 0; i < x.size(); ++i) x[i] = 3.4445 * x[i] + change[i];
  }
  return x;
}

/// Matrices of all kinds of shapes one after the other, with a gap of three numbers before each.
std::vector<MatrixPlace> places() {
  std::vector<MatrixPlace> result;
  int64_t offset = 0;
  for (const auto& [rows, columns] : std::vector<std::pair<int64_t, int64_t>>{
           {1, 1}, {1, 7}, {7, 1}, {4, 4}, {5, 13}, {13, 5}, {33, 40}, {64, 17}, {0, 5}, {16, 144}}) {
    offset += 3;
    result.push_back({offset, rows, columns});
    offset += rows * columns;
  }
  return result;
}

Tensor drawn_numbers(Dtype dtype) {
  const MatrixPlace last = places().back();
  return cast(normal({last.offset + last.size() + 3}, Random(4, Purpose::test)), dtype);
}

Tensor orthogonalised(Tensor x) {
  kernels::orthogonalise(places(), {}, x);
  return x;
}

}  // namespace

TEST_CASE(
    "orthogonalise: a rotation stays one but for its length, and a row or column becomes a unit vector") {
  // 3, 4 has length 5; the iteration takes a singular value of 1 to 0.7 after one round.
  Tensor x = Tensor::from<double>({0, -2, 2, 0, 3, 4}, {6});
  kernels::orthogonalise(std::vector<MatrixPlace>{{0, 2, 2}, {4, 1, 2}}, {}, x);
  const Numbers y = x.to_doubles();
  CHECK(y[0] == Approx(0).margin(1e-12));
  CHECK(y[1] == Approx(-y[2]));
  CHECK(y[2] > 0.68);
  CHECK(y[2] < 1.14);
  CHECK(y[4] / y[5] == Approx(0.75));
  CHECK(std::hypot(y[4], y[5]) > 0.68);
  CHECK(std::hypot(y[4], y[5]) < 1.14);
}

TEST_CASE("orthogonalise: what PyTorch's formula gives, on every device; what lies between stays") {
  for (const Dtype dtype : {Dtype::f64, Dtype::f32}) {
    const Tensor given = drawn_numbers(dtype);
    Numbers wanted = given.to_doubles();
    for (const MatrixPlace& place : places()) {
      const auto begin = wanted.begin() + static_cast<std::ptrdiff_t>(place.offset);
      const Numbers result =
          reference({begin, begin + static_cast<std::ptrdiff_t>(place.size())}, place.rows, place.columns);
      std::copy(result.begin(), result.end(), begin);
    }
    for (const Device device : devices()) {
      if (dtype == Dtype::f64 && !device.is_cpu()) continue;
      INFO(device << " " << dtype);
      check_near(orthogonalised(given.clone().to(device)).to(Device::cpu()), wanted,
                 dtype == Dtype::f64 ? 1e-12 : 2e-5);
    }
  }
}

TEST_CASE("orthogonalise: nothing comes of zeros, and the bits do not depend on the number of threads") {
  for (const Device device : devices()) {
    const Tensor zeros = Tensor::zeros({drawn_numbers(Dtype::f32).size()}, Dtype::f32, device);
    CHECK(same_bits(orthogonalised(zeros.clone()).to(Device::cpu()), zeros.to(Device::cpu())));
  }
  const int threads_before = num_threads();
  Tensor first;
  for (const int threads : {1, 2, 3, 8}) {
    set_num_threads(threads);
    const Tensor y = orthogonalised(drawn_numbers(Dtype::f32).clone());
    if (!first.defined()) first = y;
    CHECK(same_bits(y, first));
  }
  set_num_threads(threads_before);
}

TEST_CASE("orthogonalise: errors") {
  Tensor half = Tensor::zeros({4}, Dtype::bf16);
  check_error("orthogonalise", [&] {
    kernels::orthogonalise(std::vector<MatrixPlace>{{0, 2, 2}}, {}, half);
  });
  if (cuda_status().device_count == 0) return;
  Tensor wide = Tensor::zeros({4}, Dtype::f64, Device::cuda());
  check_error("orthogonalise", [&] {
    kernels::orthogonalise(std::vector<MatrixPlace>{{0, 2, 2}}, {}, wide);
  });
}
