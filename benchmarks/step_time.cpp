// Times training steps or inference of one model and prints one line of JSON: what benchmarks/peers/
// compares.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <map>
#include <string>

#include "build_type.h"
#include "fovea/core/allocator.h"
#include "fovea/core/atomic_file.h"
#include "fovea/core/check.h"
#include "fovea/core/parallel_for.h"
#include "fovea/kernels/cpu_variant.h"
#include "fovea/training/device_speed.h"
#include "train_step.h"

namespace fovea::bench {
namespace {

constexpr const char* kHelp = R"(usage: fovea_step_time [--model NAME] [--batch N] [--mode train|inference]
                       [--device cpu|cuda|cuda:N] [--precision f32|tf32|bf16|f16]
                       [--steps N] [--replays N] [--warmup N] [--threads N] [--on-request yes|no]
                       [--profile FILE] [--trace FILE]
                       [--hand-over FILE]

Prints {"model", "mode", "batch", "device", "precision", "cpu_kernels", "threads", "replays", "seconds": [one
number a timed step], "peak_memory_bytes"} on one line.

  --replays N     a timed step is that many steps from an idle device to an idle device, and its number the
                  seconds of one; 1 on the CPU, 20 on a CUDA device
  --warmup N      steps before, which are not timed; at least 2 on a CUDA device
  --on-request    yes: waits for a line on standard input before it times, and goes on until there is none:
                  for several programs that are timed in turn
  --profile FILE  before that, profiles as many steps and writes where their time goes; -: to standard error
  --trace FILE    writes what was profiled for chrome://tracing and Perfetto
  --hand-over FILE
                  times nothing, but writes the weights, the batch and what the model makes of it (logits, or the
                  losses of the first steps) as safetensors, so that another library can do the same work; only
                  on the CPU in f32

peak_memory_bytes: on the CPU the peak resident size of the process; on a CUDA device the most that tensors and
workspaces took at once.

  fovea_step_time --model attention92 --batch 64 --mode train --steps 10
  fovea_step_time --model attention56 --batch 32 --steps 5 --profile - --trace trace.json
  fovea_step_time --device cuda --precision bf16 --model attention92-wide --batch 512
)";

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
                                              {"--device", "cpu"},
                                              {"--precision", "f32"},
                                              {"--steps", "10"},
                                              {"--replays", ""},
                                              {"--warmup", "2"},
                                              {"--threads", "0"},
                                              {"--on-request", "no"},
                                              {"--profile", ""},
                                              {"--trace", ""},
                                              {"--hand-over", ""}};
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
  const auto one_of_two = [&](const char* flag, const char* yes, const char* no) {
    const std::string value = settings[flag];
    check<UsageError>(value == yes || value == no, flag, ": '", value, "' is neither ", yes, " nor ", no);
    return value == yes;
  };
  const std::string model = settings["--model"], mode = settings["--mode"];
  const bool is_training = one_of_two("--mode", "train", "inference");
  const bool on_request = one_of_two("--on-request", "yes", "no");
  const Device device = parse_device(settings["--device"]);
  const Precision precision = parse_enum<Precision>(settings["--precision"]);
  if (settings["--replays"].empty()) settings["--replays"] = device.is_cuda() ? "20" : "1";
  const int64_t batch = parse_count("--batch", settings["--batch"]);
  const int64_t steps = parse_count("--steps", settings["--steps"]);
  const int64_t replays = parse_count("--replays", settings["--replays"]);
  const int64_t warmup = parse_count("--warmup", settings["--warmup"]);
  const int64_t threads = parse_count("--threads", settings["--threads"]);
  check<UsageError>(batch >= 1 && steps >= 1 && replays >= 1,
                    "--batch, --steps and --replays: wanted 1 or more");
  if (threads > 0) set_num_threads(static_cast<int>(threads));

  const std::string hand_over = settings["--hand-over"];
  check<UsageError>(hand_over.empty() || (!device.is_cuda() && precision == Precision::f32),
                    "--hand-over: wanted --device cpu and --precision f32");

  StepTimer timer(model, batch, is_training, device, precision);
  if (!hand_over.empty()) {
    write_safetensors(hand_over, timer.hand_over());
    return 0;
  }
  const auto time_steps = [&] {
    std::string seconds;
    for (int64_t step = 0; step < steps; ++step) {
      seconds += (seconds.empty() ? "" : ", ") + str(timer.seconds_of(replays));
      const double result = timer.result();
      check(std::isfinite(result), "fovea_step_time: timed step ", step, " of ", model, " gave ", result);
    }
    std::cout << "{\"model\": \"" << model << "\", \"mode\": \"" << mode << "\", \"batch\": " << batch
              << ", \"device\": \"" << device << "\", \"precision\": \"" << name_of(precision)
              << "\", \"cpu_kernels\": \"" << kernels::cpu_variant() << "\", \"threads\": " << num_threads()
              << ", \"replays\": " << replays << ", \"seconds\": [" << seconds
              << "], \"peak_memory_bytes\": " << peak_memory_bytes(device) << "}" << std::endl;
  };
  // The second step on a CUDA device is captured, which is no part of the work.
  for (int64_t step = 0; step < std::max<int64_t>(warmup, device.is_cuda() ? 2 : 0); ++step) timer.run();
  const std::string tables_path = settings["--profile"], trace_path = settings["--trace"];
  if (!tables_path.empty() || !trace_path.empty()) {
    Profile profile;
    for (int64_t step = 0; step < steps; ++step) timer.profile(profile);
    const std::string tables =
        str("# Profile: ", mode, ", ", model, ", batch ", batch, ", ", device, ", ", name_of(precision), ", ",
            num_threads(), " threads\n\n", profile_tables(profile, measure_speed(device, precision)));
    if (tables_path == "-") std::fputs(tables.c_str(), stderr);
    if (!tables_path.empty() && tables_path != "-") write_whole(tables_path, tables);
    if (!trace_path.empty()) write_whole(trace_path, chrome_trace(profile));
  }
  warn_of_slow_build();
  if (!on_request) {
    time_steps();
    return 0;
  }
  for (std::string line; std::getline(std::cin, line);) time_steps();
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
