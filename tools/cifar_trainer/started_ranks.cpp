#include "started_ranks.h"

#include <dlfcn.h>

#include <cstdio>
#include <filesystem>
#include <string>

#include "folder_lock.h"
#include "fovea/core/cache_folder.h"
#include "fovea/core/check.h"
#include "installed_files.h"
#include "rank_modules.h"
#include "signals.h"

namespace fovea::cli {
namespace {

// From a thread of its own, right before the process ends.
void tell_of_silence(int rank, int size, int seconds) {
  FolderLock::remove_file();
  std::fprintf(stderr,
               "cifar_trainer: rank %d of %d has not answered for %d seconds; the run ends, and goes on from "
               "its last checkpoint with --resume\n",
               rank, size, seconds);
}

// A function of a module, which is loaded by those alone who need it: libmpi and libnccl start slowly, and
// libraries of theirs take over signals. `status`: whether this build was made with that library.
template <class Function>
Function* function_of(const char* module, const char* name, const char* status) {
  const std::string file = installed_module(module);
  const SignalsKept kept;
  void* const loaded = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  void* const function = loaded == nullptr ? nullptr : dlsym(loaded, name);
  if (function == nullptr) {
    const char* const reason = dlerror();
    throw UsageError(str("train: ", launch_of_environment().str(), ", and ", file, " cannot be loaded: ",
                         reason == nullptr ? "it is of another version" : reason, "; it was ", status,
                         " when this program was built; wanted it as it was installed with "
                         "this program, and the libraries that it was built with"));
  }
  return reinterpret_cast<Function*>(function);
}

std::unique_ptr<Ranks> ranks_of_mpi(const Launch& launch) {
  auto* const make = function_of<decltype(cifar_trainer_mpi_ranks)>(
      "cifar_trainer_mpi.so", "cifar_trainer_mpi_ranks", FOVEA_MPI_STATUS);
  const SignalsKept kept;
  std::unique_ptr<Ranks> ranks(make(tell_of_silence));
  check<UsageError>(ranks->size() == launch.size, "train: ", launch.str(), ", of which MPI knows ",
                    ranks->size(), "; wanted the launcher of the MPI that this program was built with");
  return ranks;
}

std::unique_ptr<Ranks> ranks_of_nccl(const NcclSettings& settings) {
  auto* const make = function_of<decltype(cifar_trainer_nccl_ranks)>(
      "cifar_trainer_nccl.so", "cifar_trainer_nccl_ranks", FOVEA_NCCL_STATUS);
  const SignalsKept kept;
  return std::unique_ptr<Ranks>(make(settings));
}

// Of the devices that this process sees, which may be its own alone.
int device_index(const Launch& launch) {
  const int count = cuda_status().device_count;
  check<UsageError>(count == 1 || launch.local_size <= count, "train: ", launch.str(), ", ",
                    launch.local_size, " of them here, and there are ", count,
                    " CUDA devices; wanted as many, or --device cpu");
  return count == 1 ? 0 : launch.local_rank;
}

// Where NCCL's identifier lies for a while.
std::string file_of(const Launch& launch) {
  const std::filesystem::path folder = std::filesystem::path(cache_folder()) / "ranks";
  std::error_code failure;
  std::filesystem::create_directories(folder, failure);
  check<UsageError>(!failure, "train: ", folder.string(), " cannot be made: ", failure.message(),
                    "; wanted a cache folder that all ranks see (XDG_CACHE_HOME)");
  return folder / launch.name;
}

}  // namespace

StartedRanks::StartedRanks() {
  if (!launch_.is_shared()) return;
  if (launch_.by == Launcher::mpi) {
    host_ = ranks_of_mpi(launch_);
    return;
  }
  const CudaStatus status = cuda_status();
  check<UsageError>(status.device_count > 0, "train: ", launch_.str(),
                    ", which train on CUDA devices, and there are none: ", status.reason,
                    "; on the CPU start them by mpirun");
  devices_ = ranks_of_nccl({.device = Device::cuda(device_index(launch_)),
                            .rank = launch_.rank,
                            .size = launch_.size,
                            .file = file_of(launch_)});
}

Device StartedRanks::device_of_rank(Device device, bool has_number) const {
  if (get() == nullptr) return device;
  check<UsageError>(device.is_cuda() || host_ != nullptr, "train: ", launch_.str(),
                    ", which train on CUDA devices, and the device is the CPU; on the CPU start them by "
                    "mpirun");
  if (device.is_cpu()) return device;
  check<UsageError>(!has_number || (launch_.local_size < 2 && host_ != nullptr), "train: ", launch_.str(),
                    ", ", launch_.local_size, " of them here, and the device is ", device,
                    "; wanted --device cuda, of which each has one");
  return has_number ? device : Device::cuda(device_index(launch_));
}

void StartedRanks::join(Device device) {
  if (host_ != nullptr && device.is_cuda()) {
    devices_ = ranks_of_nccl({.device = device, .host = host_.get()});
  }
}

}  // namespace fovea::cli
