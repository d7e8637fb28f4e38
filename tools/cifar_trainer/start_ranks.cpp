#include "start_ranks.h"

#include <dlfcn.h>

#include <cstdio>
#include <string>

#include "folder_lock.h"
#include "fovea/core/check.h"
#include "installed_files.h"
#include "mpi_environment.h"
#include "mpi_module.h"
#include "signals.h"

namespace fovea::cli {
namespace {

// From a thread of its own, right before the process ends.
void tell_of_silence(int rank, int size) {
  FolderLock::remove_file();
  std::fprintf(stderr,
               "cifar_trainer: rank %d of %d has not answered for 8 seconds; the run ends, and goes on from "
               "its last checkpoint with --resume\n",
               rank, size);
}

// Loaded by those alone who need it: libmpi starts slowly, and libraries of its own take over signals.
decltype(&cifar_trainer_mpi_ranks) load_module(const std::string& file) {
  void* const module = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  void* const function = module == nullptr ? nullptr : dlsym(module, "cifar_trainer_mpi_ranks");
  if (function == nullptr) {
    const char* const reason = dlerror();
    throw UsageError(str("train: mpirun has started ", launched_ranks(), " processes, and ", file,
                         " cannot be loaded: ", reason == nullptr ? "it is of another version" : reason,
                         "; wanted it as it was installed with this program, and the MPI that it was built "
                         "with"));
  }
  return reinterpret_cast<decltype(&cifar_trainer_mpi_ranks)>(function);
}

}  // namespace

std::unique_ptr<Ranks> start_ranks() {
  const int launched = launched_ranks();
  if (launched < 2) return nullptr;
  check<UsageError>(FOVEA_HAS_MPI, "train: mpirun has started ", launched, " processes, and MPI is ",
                    FOVEA_MPI_STATUS, " in this build");
  const SignalsKept kept;
  std::unique_ptr<Ranks> ranks(load_module(installed_module("cifar_trainer_mpi.so"))(tell_of_silence));
  check<UsageError>(kBatchGroups % ranks->size() == 0, "train: ", ranks->size(),
                    " ranks cannot share a batch; wanted 1, 2, 4 or ", kBatchGroups);
  return ranks;
}

}  // namespace fovea::cli
