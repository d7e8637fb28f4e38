// Times training steps or inference of one model and prints one line of JSON: what benchmarks/peers/
// compares.
#include <sys/resource.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>

#include "fovea/core/check.h"
#include "fovea/core/parallel_for.h"
#include "train_step.h"

namespace fovea::bench {
namespace {

constexpr const char* kHelp = R"(usage: fovea_step_time [--model NAME] [--batch N] [--mode train|inference]
                       [--steps N] [--warmup N] [--threads N]

Prints {"model", "mode", "batch", "threads", "seconds": [one number a step], "peak_memory_bytes"} on one line.

  fovea_step_time --model attention92 --batch 64 --mode train --steps 10
)";

int64_t peak_memory_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return int64_t{usage.ru_maxrss} * 1024;
}

int64_t parse_count(const std::string& flag, const std::string& text) {
  char* end = nullptr;
  const long long value = std::strtoll(text.c_str(), &end, 10);
  check<UsageError>(!text.empty() && *end == '\0' && value >= 0, flag, ": '", text, "' is no count");
  return value;
}

int run(int argc, char** argv) {
  std::map<std::string, std::string> settings{{"--model", "attention-nano"},
                                              {"--batch", "64"},
                                              {"--mode", "train"},
                                              {"--steps", "10"},
                                              {"--warmup", "2"},
                                              {"--threads", "0"}};
  for (int i = 1; i < argc; i += 2) {
    const std::string flag = argv[i];
    if (flag == "--help" || flag == "-h") {
      std::fputs(kHelp, stdout);
      return 0;
    }
    check<UsageError>(settings.contains(flag), flag, ": no such flag; see --help");
    check<UsageError>(i + 1 < argc, flag, ": wants a value");
    settings[flag] = argv[i + 1];
  }
  const std::string model = settings["--model"], mode = settings["--mode"];
  check<UsageError>(mode == "train" || mode == "inference", "--mode: '", mode,
                    "' is neither train nor inference");
  const int64_t batch = parse_count("--batch", settings["--batch"]);
  const int64_t steps = parse_count("--steps", settings["--steps"]);
  const int64_t warmup = parse_count("--warmup", settings["--warmup"]);
  const int64_t threads = parse_count("--threads", settings["--threads"]);
  check<UsageError>(batch >= 1 && steps >= 1, "--batch and --steps: wanted 1 or more");
  if (threads > 0) set_num_threads(static_cast<int>(threads));

  StepTimer timer(model, batch, mode == "train");
  std::string seconds;
  for (int64_t step = 0; step < warmup + steps; ++step) {
    const auto begin = std::chrono::steady_clock::now();
    const double result = timer.run();
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - begin;
    check(std::isfinite(result), "fovea_step_time: step ", step, " of ", model, " gave ", result);
    if (step >= warmup) seconds += (seconds.empty() ? "" : ", ") + std::to_string(time.count());
  }
  std::printf(
      "{\"model\": \"%s\", \"mode\": \"%s\", \"batch\": %lld, \"threads\": %d, \"seconds\": [%s], "
      "\"peak_memory_bytes\": %lld}\n",
      model.c_str(), mode.c_str(), static_cast<long long>(batch), num_threads(), seconds.c_str(),
      static_cast<long long>(peak_memory_bytes()));
  return 0;
}

}  // namespace
}  // namespace fovea::bench

int main(int argc, char** argv) {
  try {
    return fovea::bench::run(argc, argv);
  } catch (const fovea::Error& error) {
    std::fprintf(stderr, "fovea_step_time: %s\n", error.what());
    return error.exit_code();
  }
}
