#include "bench.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <string>
#include <vector>

#include "build_context.h"
#include "build_type.h"
#include "fovea/core/check.h"
#include "fovea/core/parallel_for.h"
#include "fovea/kernels/cpu_variant.h"

namespace fovea::bench {
namespace {

constexpr const char* kHelp =
    R"(usage: fovea_bench [--device=cpu|cuda|cuda:N] [--dtype=f32|bf16|f16] [--tf32] [--threads=N] [--benchmark_...]

Times every kernel, forward and backward, at the shapes of attention92 and attention92-wide, and whole training
steps, on one device and in one dtype. Statistics, sums and the state of optimisers are f32 in every dtype.

  GB/s      bytes over time, where each input is read once and each output written once
  %copy     the same as a share of what a copy reaches in this run: of 64 MB on the CPU, of 256 MB on the device;
            above 100 the data fits into the cache, and the memory is no bound
  %noise    how far the times are apart that a time is made of: the range of their middle half, in percent of the
            median; none of fewer than four. Between runs: --benchmark_repetitions=5, whose _cv is the same idea
  SM MHz    the clock of a CUDA device's multiprocessors right after the calls; "throttled: ..." behind a row says that
            the driver keeps it lower than it could be, and why
  GFLOP/s   of convolutions and products
  %product  the same as a share of what a large square product of this dtype reaches in this run

On the CPU a time is the mean of calls in a row, with data that is in the cache where it fits. On a CUDA device it
is the median of up to 101 calls, each between two events and after the L2 cache was overwritten; what that gives
for no call at all ("empty us" in the context) is in it. --tf32 lets products and convolutions of f32 round their
factors to TF32.

  fovea_bench --benchmark_list_tests
  fovea_bench --benchmark_filter=upsample
  fovea_bench --benchmark_filter='conv_.*K:64' --threads=1
  fovea_bench --device=cuda --dtype=bf16 --benchmark_filter='N:512|N:2048'
  fovea_bench --device=cuda --dtype=bf16 --benchmark_filter=train_step
  fovea_bench --benchmark_filter=train_step --benchmark_min_time=5
  fovea_bench --benchmark_out=results.json --benchmark_out_format=json

The context of the results has Fovea's version and commit, the compiler and its flags, the processor and, of a CUDA
device, the driver and its clocks.
)";

struct Entry {
  const char* name;
  void (*function)(benchmark::State&);
  void (*arguments)(Benchmark*);
};

std::vector<Entry>& entries() {
  static std::vector<Entry> all;
  return all;
}

void register_all() {
  for (const Entry& entry : entries()) {
    Benchmark* benchmark = benchmark::RegisterBenchmark(entry.name, entry.function);
    entry.arguments(benchmark);
    if (settings().device.is_cpu()) {
      benchmark->UseRealTime();
    } else {
      benchmark->Iterations(1)->UseManualTime();  // which is a median itself
    }
  }
}

/// The value of `argument` if it is --flag=value, else null.
const char* value_of(const char* flag, const std::string& argument) {
  const size_t length = std::strlen(flag);
  return argument.compare(0, length, flag) == 0 ? argument.c_str() + length : nullptr;
}

/// Whether Google Benchmark is going to warn that it was built as DEBUG: there is no function that tells.
bool library_warns() {
  std::ostringstream text;
  benchmark::BenchmarkReporter::PrintBasicContext(&text, benchmark::BenchmarkReporter::Context());
  return text.str().find("built as DEBUG") != std::string::npos;
}

/// What the figures are worth, by how this program and Google Benchmark were built.
void add_build_types() {
  const bool warns = library_warns();  // before there is a note with the same words
  benchmark::AddCustomContext("fovea_build_type", why_slow() == nullptr ? "release" : why_slow());
  if (warns) {
    benchmark::AddCustomContext(
        "note on library_build_type",
        "DEBUG is said of the installed Google Benchmark, built without NDEBUG as Debian has "
        "it, not of Fovea; the loop that is timed is no part of it (benchmarks/README.md)");
  }
  warn_of_slow_build();
}

/// The driver and the clocks of a CUDA device, before anything is timed.
void add_clocks() {
  const GpuClocks& clocks = gpu_clocks();
  if (!clocks.is_available()) {
    benchmark::AddCustomContext("clocks", "not known: " + clocks.reason());
    return;
  }
  benchmark::AddCustomContext("driver", clocks.driver());
  benchmark::AddCustomContext("SM MHz", std::to_string(clocks.multiprocessor_clock()));
  benchmark::AddCustomContext("SM MHz at most", std::to_string(clocks.most_multiprocessor_clock()));
  benchmark::AddCustomContext("memory MHz", std::to_string(clocks.memory_clock()));
}

/// Says on standard error that times are those of a device that was held back.
void warn_of_throttling() {
  if (count_throttled() == 0) return;
  std::fprintf(
      stderr,
      "***WARNING*** the device was throttled in %d benchmarks, which say so behind their row: their times "
      "are not comparable; its multiprocessors run at %d of %d MHz now\n",
      count_throttled(), gpu_clocks().multiprocessor_clock(), gpu_clocks().most_multiprocessor_clock());
}

int run(int argc, char** argv) {
  std::string tabular = "--benchmark_counters_tabular=true";
  std::vector<char*> others{argv[0], tabular.data()};
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--help" || argument == "-h") {
      std::fputs(kHelp, stdout);
      return 0;
    }
    if (const char* threads = value_of("--threads=", argument)) {
      set_num_threads(std::atoi(threads));
    } else if (const char* device = value_of("--device=", argument)) {
      settings().device = parse_device(device);
    } else if (const char* dtype = value_of("--dtype=", argument)) {
      settings().dtype = parse_enum<Dtype>(dtype);
    } else if (argument == "--tf32") {
      set_tf32(true);
    } else {
      others.push_back(argv[i]);
    }
  }
  const Dtype dtype = settings().dtype;
  check<UsageError>(dtype == Dtype::f32 || dtype == Dtype::bf16 || dtype == Dtype::f16,
                    "--dtype: wanted f32, bf16 or f16, found ", dtype);
  int count = static_cast<int>(others.size());
  benchmark::Initialize(&count, others.data());
  if (benchmark::ReportUnrecognizedArguments(count, others.data())) return 2;
  register_all();
  add_build_types();
  add_build_context();
  benchmark::AddCustomContext("device", describe(settings().device));
  benchmark::AddCustomContext("dtype", name_of(dtype));
  benchmark::AddCustomContext("tf32", tf32_allowed() ? "allowed" : "no");
  benchmark::AddCustomContext("cpu_kernels", kernels::cpu_variant());
  benchmark::AddCustomContext("threads", std::to_string(num_threads()));
  benchmark::AddCustomContext("copy GB/s", std::to_string(copy_bandwidth() / 1e9));
  if (settings().device.is_cuda()) {
    benchmark::AddCustomContext("empty us", std::to_string(empty_seconds() * 1e6));
    add_clocks();
  }
  const size_t benchmarks = benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  warn_of_throttling();
  return benchmarks > 0 ? 0 : 2;  // a filter that matches nothing is a mistake
}

}  // namespace

bool add(const char* name, void (*function)(benchmark::State&), void (*arguments)(Benchmark*)) {
  entries().push_back({name, function, arguments});
  return true;
}

void network_shapes(Benchmark* benchmark) {
  benchmark->ArgNames({"N", "H", "W", "C"})->Unit(benchmark::kMicrosecond);
  benchmark->Args({64, 32, 32, 64})->Args({64, 16, 16, 128})->Args({64, 8, 8, 256});
  benchmark->Args({32, 32, 32, 128})->Args({32, 16, 16, 256})->Args({32, 8, 8, 512});
  const int64_t images_of_64_MB = settings().dtype == Dtype::f32 ? 256 : 512;
  benchmark->Args({images_of_64_MB, 32, 32, 64});
  if (settings().device.is_cuda()) benchmark->Args({4 * images_of_64_MB, 32, 32, 64});
}

}  // namespace fovea::bench

int main(int argc, char** argv) {
  try {
    return fovea::bench::run(argc, argv);
  } catch (const fovea::Error& error) {
    std::fprintf(stderr, "fovea_bench: %s\n", error.what());
    return error.exit_code();
  }
}
