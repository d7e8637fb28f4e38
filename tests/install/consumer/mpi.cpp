#include <fovea/fovea.h>
#include <fovea/training/mpi.h>
#include <cstdio>
#include <memory>

// The processes that mpirun has started, or this one alone, add up a number of each.
int main() {
  const std::unique_ptr<fovea::Ranks> ranks = fovea::mpi_ranks();
  fovea::Tensor numbers = fovea::Tensor::full({3}, ranks->rank() + 1);
  ranks->sum(numbers);
  const int sum = ranks->size() * (ranks->size() + 1) / 2;
  std::printf("rank %d of %d: a sum of %g\n", ranks->rank(), ranks->size(), numbers.to_doubles()[2]);
  return numbers.to_doubles()[2] == sum ? 0 : 1;
}
