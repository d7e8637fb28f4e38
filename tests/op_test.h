#pragma once

#include <functional>
#include <string>
#include <vector>

#include "fovea/core/autograd.h"

/// The property harness: an operation gives a table of cases, and every case gets all the properties.
namespace fovea::test {

/// How the numbers of an input are drawn; a case draws the same numbers on every run.
enum class Fill {
  normal,          // mean 0, deviation 1
  positive,        // 0.5 and above
  away_from_zero,  // normal, but at least 0.1 from 0: for a kink at 0
  distinct,        // at least 1/64 from each other: for choosing the largest
};

struct Input {
  Shape shape;
  Fill fill = Fill::normal;
  bool requires_grad = true;
  bool stays_f32 = false;  // f32 where the others are 16-bit, as the weight of a batch norm
};

using Inputs = std::vector<Variable>;
using Function = std::function<Variable(const Inputs&)>;

/// Cases are chosen to break kernels: 1 in each axis, a prime, one below, at and above a vector's width.
struct OperationCase {
  std::string name;
  std::vector<Input> inputs;
  Function function;   // gives the same numbers each time; asks its inputs for the dtype
  int64_t terms = 1;   // of the longest sum, forward or backward: for the tolerance
  double step = 1e-3;  // of the differences; kinks must be further away than twice that
  int64_t roundings =
      1;  // to the dtype, one after the other, where the operation has steps: for the tolerance
};

/// Checks for every case, under AllocatorGuard:
/// - the gradient against f64 central differences of a random projection, to 1e-7 of the largest
/// - f32, bf16 and f16, outputs and gradients, near f64; on the CPU and, in a program that has one, on a CUDA
///   device, emulated or real, there with the same bits again
/// - same bits again, with 1, 2, 3, 4 and 8 threads, without history, and for each input's gradient alone
/// - gradients that add up when a variable is used several times
/// - everything written, nothing written outside, no input changed
/// - an input or result that changes before the backward pass is an Error, or has no part in the gradients
/// - that `operation` is the recorded name; the coverage test finds the operations that are checked nowhere
void check_operation(const std::string& operation, const std::vector<OperationCase>& cases);

/// Checks that the case's function and `other` agree in f64, outputs and gradients: for a fused operation
/// and the composition that it replaces.
void check_same_function(const OperationCase& one, const Function& other, double tolerance = 1e-12);

/// Checks that `body` throws an Error whose message begins with `operation` and a colon.
void check_error(const std::string& operation, const std::function<void()>& body);

/// Checks shape and numbers: |found - wanted| <= tolerance * (|wanted| + root mean square + 1e-3).
void check_near(const Tensor& found, const Tensor& wanted, double tolerance);
/// The same for numbers written down.
void check_near(const Tensor& found, const std::vector<double>& wanted, double tolerance = 1e-12);

/// The relative error that a result of this dtype may have after sums of `terms` terms and `roundings`
/// roundings to it.
double tolerance(Dtype dtype, int64_t terms = 1, int64_t roundings = 1);

/// The CPU and, in a program that has one, a CUDA device, emulated or real.
std::vector<Device> devices();

/// An f64 parameter, for examples computed by hand.
Variable parameter(const std::vector<double>& values, const Shape& shape);
/// i64 [], as kernels take counts and positions.
inline Tensor whole(int64_t number, Device device) {
  return Tensor::from<int64_t>({number}, {}).to(device);
}
/// `x` in another dtype.
Tensor cast(const Tensor& x, Dtype dtype);
/// Whether two tensors have the same shape, dtype and bytes (or both are undefined).
bool same_bits(const Tensor& a, const Tensor& b);

}  // namespace fovea::test
