#include "run_ranks.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <string_view>

#include "digest.h"
#include "fovea/config.h"
#include "fovea/core/check.h"
#include "fovea/core/environment.h"
#include "fovea/core/parallel_for.h"
#include "fovea/kernels/cpu_variant.h"
#include "fovea/training/rank_sums.h"
#include "launch.h"
#include "output.h"
#include "run_network.h"
#include "setup.h"
#include "signals.h"

namespace fovea::cli {
namespace {

constexpr char kSeparator = '\0';

std::string digest_of_tensors(const std::vector<Tensor>& tensors) {
  Digest digest(DigestKind::sha256);
  for (const Tensor& tensor : tensors) {
    const Tensor here = tensor.to(Device::cpu());
    digest.add(here.raw(), static_cast<size_t>(here.bytes()));
  }
  return digest.text();
}

std::string digest_of_text(std::string_view text) {
  Digest digest(DigestKind::sha256);
  digest.add(text.data(), text.size());
  return digest.text();
}

// The next part of what tell_ranks joins.
std::string take_part(std::string_view& text) {
  const size_t end = text.find(kSeparator);
  std::string part(text.substr(0, end));
  text.remove_prefix(end + 1);
  return part;
}

}  // namespace

void check_started_alone(const char* command) {
  const Launch launch = launch_of_environment();
  check<UsageError>(!launch.is_shared(), command, ": ", launch.str(),
                    ", for one run; wanted cifar_trainer train without --seeds");
}

void tell_ranks(Ranks& ranks, const SettledRun& run) {
  text_of_rank(ranks, /*which=*/0,
               run.settings + kSeparator + run.checkpoint + kSeparator + run.init + kSeparator +
                   std::to_string(run.profile_steps) + kSeparator);
}

std::string difference_of_ranks(Ranks& ranks, const RunImages& images,
                                const std::vector<NamedTensor>& weights) {
  std::vector<Tensor> of_images;
  for (const ImageSet* const set : {&images.train, &images.validation}) {
    if (set->size() > 0) of_images.insert(of_images.end(), {set->images, set->labels});
  }
  std::vector<Tensor> of_weights;
  for (const NamedTensor& weight : weights) of_weights.push_back(weight.tensor);
  const std::string own = digest_of_text(FOVEA_VERSION) + digest_of_text(kernels::cpu_variant()) +
                          digest_of_tensors(of_images) + digest_of_tensors(of_weights);
  const auto size = std::ssize(own);
  Tensor mine = Tensor::empty({size}, Dtype::u8), all = Tensor::empty({ranks.size(), size}, Dtype::u8);
  std::copy(own.begin(), own.end(), mine.data<uint8_t>());
  ranks.gather(mine, all);
  constexpr const char* kNames[] = {"another version of cifar_trainer",
                                    "other kernels for its processor (FOVEA_CPU chooses them)",
                                    "other training or validation images", "other weights to begin with"};
  const int64_t digits = size / std::ssize(kNames);
  for (int rank = 1; rank < ranks.size(); ++rank) {
    for (int64_t i = 0; i < std::ssize(kNames); ++i) {
      const uint8_t *const first = all.data<uint8_t>() + i * digits, *const other = first + rank * size;
      if (std::equal(first, first + digits, other)) continue;
      return fovea::str("train: rank ", rank, " has ", kNames[i], " than rank 0; wanted the same of all");
    }
  }
  return "";
}

void share_processors(bool sets_threads) {
  if (sets_threads || !environment("OMP_NUM_THREADS").empty()) return;
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  const bool is_known = sched_getaffinity(0, sizeof allowed, &allowed) == 0;
  const int online = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
  // The launcher may have bound the rank to some processors, alone or with others; a quota is for all ranks.
  const bool is_bound = is_known && CPU_COUNT(&allowed) < online;
  const int part = std::max(1, (is_bound ? online : num_threads()) / launch_of_environment().local_size);
  set_num_threads(std::min(num_threads(), part));
}

Device device_of_rank(const StartedRanks& started, const Settings& settings) {
  const bool has_number = settings.device.find(':') != std::string::npos;
  return started.device_of_rank(prepare_device(settings), has_number);
}

int train_as_other_rank(StartedRanks& started) {
  const QuietScope quiet;  // the first rank tells
  stop_silently();
  const std::string told = text_of_rank(*started.get(), /*which=*/0, "");
  std::string_view rest = told;
  const SettledRun run{take_part(rest), take_part(rest), take_part(rest), std::stoll(take_part(rest))};
  if (run.settings.empty()) return 0;
  Settings settings;
  apply_toml(settings, run.settings, "the settings of the first rank");
  const Device device = device_of_rank(started, settings);
  share_processors(settings.threads > 0);
  started.join(device);
  Ranks& ranks = *started.get();
  std::optional<Checkpoint> checkpoint, init;
  if (!run.checkpoint.empty()) checkpoint = read_checkpoint(run.checkpoint);
  if (!run.init.empty()) init = read_checkpoint(run.init);
  const RunImages images = images_of_run(settings);
  RunNetwork network = network_of_run(settings, images, device, checkpoint, init);
  if (!difference_of_ranks(ranks, images, start_weights(network, checkpoint)).empty()) return 2;
  TrainingSettings training = training_settings(settings, images.train.size());
  training.ranks = &ranks;
  training.profile_steps = run.profile_steps;
  if (checkpoint) training.resume = &*checkpoint;
  training.hooks.should_stop = should_stop;
  try {
    network.classifier.train(images.train, training, images.validation_or_null());
  } catch (const DivergedError& error) {
    return error.exit_code();  // all ranks have the same, and the first tells
  }
  return 0;
}

}  // namespace fovea::cli
