#include "run_ranks.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <string_view>

#include "fovea/core/check.h"
#include "fovea/core/environment.h"
#include "fovea/core/parallel_for.h"
#include "mpi_ranks.h"
#include "output.h"
#include "run_network.h"
#include "setup.h"
#include "signals.h"

namespace fovea::cli {
namespace {

constexpr char kSeparator = '\0';

// The text of the first rank; the others give none.
std::string broadcast(Ranks& ranks, const std::string& text) {
  Tensor size = Tensor::from<int64_t>({std::ssize(text)}, {});
  ranks.sum(size);
  const auto count = static_cast<int64_t>(size.item());
  Tensor own = Tensor::zeros({count}, Dtype::u8), all = Tensor::zeros({ranks.size(), count}, Dtype::u8);
  std::copy(text.begin(), text.end(), own.data<uint8_t>());
  ranks.gather(own, all);
  return {all.data<uint8_t>(), all.data<uint8_t>() + count};
}

// The next part of what tell_ranks joins.
std::string take_part(std::string_view& text) {
  const size_t end = text.find(kSeparator);
  std::string part(text.substr(0, end));
  text.remove_prefix(end + 1);
  return part;
}

}  // namespace

void tell_ranks(Ranks& ranks, const SettledRun& run) {
  broadcast(ranks, run.settings + kSeparator + run.checkpoint + kSeparator + run.init + kSeparator);
}

void wait_for_ranks(Ranks& ranks) {
  Tensor nothing = Tensor::zeros({}, Dtype::i64);
  ranks.sum(nothing);
}

void prepare_rank(const Ranks& ranks, Device device, bool sets_threads) {
  check<UsageError>(device.is_cpu(), "train: ", ranks.size(), " ranks, and the device is ", device,
                    "; ranks train on the CPU; wanted --device cpu");
  if (sets_threads || !environment("OMP_NUM_THREADS").empty()) return;
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  const bool is_known = sched_getaffinity(0, sizeof allowed, &allowed) == 0;
  const int online = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
  // The launcher may have bound the rank to some processors, alone or with others; a quota is for all ranks.
  const bool is_bound = is_known && CPU_COUNT(&allowed) < online;
  const int part = std::max(1, (is_bound ? online : num_threads()) / ranks_on_this_machine());
  set_num_threads(std::min(num_threads(), part));
}

int train_as_other_rank(Ranks& ranks) {
  const QuietScope quiet;  // the first rank tells
  stop_silently();
  const std::string told = broadcast(ranks, "");
  std::string_view rest = told;
  const SettledRun run{take_part(rest), take_part(rest), take_part(rest)};
  if (run.settings.empty()) return 0;
  Settings settings;
  apply_toml(settings, run.settings, "the settings of the first rank");
  const Device device = prepare_device(settings);
  prepare_rank(ranks, device, settings.threads > 0);
  std::optional<Checkpoint> checkpoint, init;
  if (!run.checkpoint.empty()) checkpoint = read_checkpoint(run.checkpoint);
  if (!run.init.empty()) init = read_checkpoint(run.init);
  wait_for_ranks(ranks);

  const RunImages images = images_of_run(settings);
  RunNetwork network = network_of_run(settings, images, device, checkpoint, init);
  TrainingSettings training = training_settings(settings, images.train.size());
  training.ranks = &ranks;
  if (checkpoint) training.resume = &*checkpoint;
  training.hooks.should_stop = should_stop;
  network.classifier.train(images.train, training, images.validation_or_null());
  return 0;
}

}  // namespace fovea::cli
