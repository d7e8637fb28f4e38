#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>

#include "fovea/core/captured_graph.h"
#include "fovea/core/check.h"
#include "fovea/core/interrupt.h"
#include "fovea/training/batches.h"
#include "fovea/training/training_settings.h"

namespace fovea {

/// All images once, in their own order and as they are. UsageError, which begins with `operation`, for a
/// batch size below 1.
inline LoaderSettings unaugmented_in_order(const char* operation, int64_t batch_size) {
  check<UsageError>(batch_size >= 1, operation, ": batch_size is ", batch_size, ", wanted at least 1");
  return {.batch_size = batch_size, .shuffle = false, .drop_last = false, .repeat = false};
}

/// Calls use(first, count) for the batches of `images` images, `batch_size` in each but the last, and polls
/// and tells as the settings say; a batch that is interrupted, on the CPU, does not count. Returns how many
/// images it got through.
template <class Use>
int64_t for_each_batch(int64_t images, int64_t batch_size, const EvaluationSettings& settings, Device device,
                       const Use& use) {
  const std::function<bool()> never;
  int64_t done = 0;
  while (done < images && !(settings.should_stop && settings.should_stop())) {
    const int64_t count = std::min(batch_size, images - done);
    try {
      const InterruptScope interrupts(device.is_cpu() ? settings.should_interrupt : never);
      use(done, count);
    } catch (const Interrupted&) {
      break;
    }
    done += count;
    if (settings.on_batch) settings.on_batch(done, images);
  }
  return done;
}

/// Evaluates a model on one set of images, as often as that is wanted: the images stay on the model's device,
/// and with `capture` a batch is recorded there once and replayed, if there is memory for that. Until its end
/// the model's parameters must stay where they are, though not what they are.
class Evaluator {
 public:
  /// With `flip_average` by the mean logits of an image and its mirror image.
  Evaluator(Model& model, const ImageSet& data, const ImageNormalisation& normalisation, int64_t batch_size,
            bool capture, bool flip_average = false);

  /// Over all images, unaugmented, with running statistics. Does not look at settings.batch_size; on a device
  /// on_batch counts the images that are on their way, not those that are done. UsageError for on_logits
  /// where batches are captured: those of a batch are overwritten by the next.
  Evaluation run(const EvaluationSettings& settings);

 private:
  void add(const Batch& batch, const Batch* mirrored);
  Tensor logits_of(const Batch& batch) const;
  void add_next();
  int64_t sum_over(Ranks& ranks, int64_t images);

  Model& model_;
  Place place_;
  int64_t images_, batch_size_;
  bool wants_capture_;
  Batches batches_;
  std::optional<Batches> mirrored_;  // the mirror images
  Tensor position_;                  // i64 []: the batch that is next
  Tensor correct_, in_top_;          // i64 []: images so far
  Tensor losses_;                    // [batches]: their means
  Tensor ignored_;                   // i64 [batches]: record_step has more to say than is wanted here
  Tensor zero_;                      // i64 []
  bool keeps_logits_ = false;
  Tensor logits_;        // of the last batch, if kept
  int64_t classes_ = 0;  // of the last batch
  std::optional<CapturedGraph> graph_;
};

}  // namespace fovea
