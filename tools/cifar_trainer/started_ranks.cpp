#include "started_ranks.h"

#include <dlfcn.h>

#include <cstdio>
#include <filesystem>
#include <string>

#include "folder_lock.h"
#include "fovea/core/cache_folder.h"
#include "fovea/core/check.h"
#include "installed_files.h"
#include "launch.h"
#include "rank_modules.h"
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

// A function of a module, which is loaded by those alone who need it: libmpi and libnccl start slowly, and
// libraries of theirs take over signals.
template <class Function>
Function* function_of(const char* module, const char* name) {
  const std::string file = installed_module(module);
  const SignalsKept kept;
  void* const loaded = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  void* const function = loaded == nullptr ? nullptr : dlsym(loaded, name);
  if (function == nullptr) {
    const char* const reason = dlerror();
    throw UsageError(str("train: ", launch_of_environment().str(), ", and ", file,
                         " cannot be loaded: ", reason == nullptr ? "it is of another version" : reason,
                         "; wanted it as it was installed with this program, and the libraries that it was "
                         "built with"));
  }
  return reinterpret_cast<Function*>(function);
}

std::unique_ptr<Ranks> ranks_of_devices(const NcclSettings& settings) {
  auto* const make =
      function_of<decltype(cifar_trainer_nccl_ranks)>("cifar_trainer_nccl.so", "cifar_trainer_nccl_ranks");
  const SignalsKept kept;
  return std::unique_ptr<Ranks>(make(settings));
}

int device_index(const Launch& launch) {
  return launch.local_rank % std::max(1, cuda_status().device_count);
}

}  // namespace

StartedRanks::StartedRanks() {
  const Launch launch = launch_of_environment();
  if (!launch.is_shared()) return;
  if (launch.by == Launcher::mpi) {
    check<UsageError>(FOVEA_HAS_MPI, "train: ", launch.str(), ", and MPI is ", FOVEA_MPI_STATUS,
                      " in this build");
    auto* const make =
        function_of<decltype(cifar_trainer_mpi_ranks)>("cifar_trainer_mpi.so", "cifar_trainer_mpi_ranks");
    const SignalsKept kept;
    host_.reset(make(tell_of_silence));
    return;
  }
  const CudaStatus status = cuda_status();
  check<UsageError>(status.device_count > 0, "train: ", launch.str(),
                    ", which train on CUDA devices, and there are none: ", status.reason,
                    "; on the CPU start them by mpirun");
  const std::filesystem::path folder = std::filesystem::path(cache_folder()) / "ranks";
  std::filesystem::create_directories(folder);
  devices_ = ranks_of_devices({.device = Device::cuda(device_index(launch)),
                               .rank = launch.rank,
                               .size = launch.size,
                               .file = folder / launch.name});
}

Device StartedRanks::device_of_rank(Device device, bool has_number) const {
  if (get() == nullptr) return device;
  const Launch launch = launch_of_environment();
  if (device.is_cpu()) {
    check<UsageError>(
        host_ != nullptr, "train: ", launch.str(),
        ", which train on CUDA devices, and the device is the CPU; on the CPU start them by mpirun");
    return device;
  }
  check<UsageError>(!has_number || launch.local_size < 2, "train: ", launch.str(), ", ", launch.local_size,
                    " of them here, and the device is ", device,
                    "; wanted --device cuda, of which each has one");
  return has_number ? device : Device::cuda(device_index(launch));
}

void StartedRanks::join(Device device) {
  if (host_ != nullptr && device.is_cuda())
    devices_ = ranks_of_devices({.device = device, .host = host_.get()});
}

}  // namespace fovea::cli
