#include "bench.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <string_view>
#include <vector>

#include "fovea/core/check.h"
#include "fovea/core/parallel_for.h"

namespace fovea::bench {

Tensor random_tensor(const Shape& shape, uint32_t stream, float deviation) {
  return normal(shape, Random(/*seed=*/1, Purpose::test, /*epoch=*/0, stream), deviation);
}

namespace {

double measure_copy_bandwidth() {
  constexpr int64_t kBytes = int64_t{64} << 20, kChunk = int64_t{1} << 20;
  const Tensor source = random_tensor({kBytes / 4}, 0);
  Tensor target = Tensor::zeros_like(source);
  const char* from = static_cast<const char*>(source.raw());
  char* to = static_cast<char*>(target.raw());
  std::vector<double> seconds;
  for (int run = 0; run < 21; ++run) {
    const auto begin = std::chrono::steady_clock::now();
    parallel_for(kBytes / kChunk, 1, [&](int64_t first, int64_t last) {
      std::memcpy(to + first * kChunk, from + first * kChunk, static_cast<size_t>((last - first) * kChunk));
    });
    seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
  std::nth_element(seconds.begin(), seconds.begin() + 10, seconds.end());
  return 2.0 * static_cast<double>(kBytes) / seconds[10];
}

}  // namespace

double copy_bandwidth() {
  static const double bandwidth = measure_copy_bandwidth();
  return bandwidth;
}

void network_shapes(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"N", "H", "W", "C"})->Unit(benchmark::kMicrosecond);
  benchmark->Args({64, 32, 32, 64})->Args({64, 16, 16, 128})->Args({64, 8, 8, 256});
  benchmark->Args({32, 32, 32, 128})->Args({32, 16, 16, 256})->Args({32, 8, 8, 512});
  benchmark->Args({256, 32, 32, 64});
}

namespace {

constexpr const char* kHelp = R"(usage: fovea_bench [--threads=N] [--benchmark_...]

Times every kernel, forward and backward, at the shapes of attention92 and attention92-wide, and whole training
steps. Columns: time; GB/s, where each input is read once and each output written once; %copy, the same as a
share of what a copy of 64 MB reaches in this run; GFLOP/s.

  fovea_bench --benchmark_list_tests
  fovea_bench --benchmark_filter=upsample
  fovea_bench --benchmark_filter='conv_.*K:64' --threads=1
  fovea_bench --benchmark_filter=train_step --benchmark_min_time=5
  fovea_bench --benchmark_out=results.json --benchmark_out_format=json
)";

int run(int argc, char** argv) {
  std::string tabular = "--benchmark_counters_tabular=true";
  std::vector<char*> others{argv[0], tabular.data()};
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--help" || argument == "-h") {
      std::fputs(kHelp, stdout);
      return 0;
    }
    if (argument.starts_with("--threads=")) {
      set_num_threads(std::atoi(argument.c_str() + std::strlen("--threads=")));
    } else {
      others.push_back(argv[i]);
    }
  }
  int count = static_cast<int>(others.size());
  benchmark::Initialize(&count, others.data());
  if (benchmark::ReportUnrecognizedArguments(count, others.data())) return 2;
  benchmark::AddCustomContext("threads", std::to_string(num_threads()));
  benchmark::AddCustomContext("copy GB/s", std::to_string(copy_bandwidth() / 1e9));
  const size_t benchmarks = benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return benchmarks > 0 ? 0 : 2;  // a filter that matches nothing is a mistake
}

}  // namespace
}  // namespace fovea::bench

int main(int argc, char** argv) {
  try {
    return fovea::bench::run(argc, argv);
  } catch (const fovea::Error& error) {
    std::fprintf(stderr, "fovea_bench: %s\n", error.what());
    return error.exit_code();
  }
}
