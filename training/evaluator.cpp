#include "fovea/training/evaluator.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "fovea/core/allocator.h"
#include "fovea/core/check.h"
#include "fovea/kernels/arithmetic.h"
#include "fovea/kernels/count_correct.h"
#include "fovea/kernels/training_counters.h"
#include "fovea/layers/functional.h"

namespace fovea {
namespace {

constexpr int64_t kTop = 5, kClassesForTop = 10;

}  // namespace

Evaluator::Evaluator(Model& model, const ImageSet& data, const ImageNormalisation& normalisation,
                     int64_t batch_size, bool capture, bool flip_average)
    : model_(model),
      place_(place_of(model)),
      images_(data.size()),
      batch_size_(batch_size),
      wants_capture_(capture && place_.device.is_cuda()),
      batches_(data, normalisation, unaugmented_in_order("evaluate", batch_size), place_) {
  if (flip_average) {
    mirrored_.emplace(mirrored(data), normalisation, unaugmented_in_order("evaluate", batch_size), place_);
  }
  const auto counter = [&] { return Tensor::zeros({}, Dtype::i64, place_.device); };
  position_ = counter();
  correct_ = counter();
  in_top_ = counter();
  zero_ = counter();
  losses_ = Tensor::zeros({batches_.per_epoch()}, place_.dtype == Dtype::f64 ? Dtype::f64 : Dtype::f32,
                          place_.device);
  ignored_ = Tensor::zeros({batches_.per_epoch()}, Dtype::i64, place_.device);
}

Evaluation Evaluator::run(const EvaluationSettings& settings) {
  check<UsageError>(!settings.on_logits || !wants_capture_,
                    "evaluate: on_logits is set, and the batches are captured; wanted one of both");
  const EvaluationMode evaluation_mode(model_);
  keeps_logits_ = static_cast<bool>(settings.on_logits);
  // The batches of this rank.
  const int64_t all = batches_.per_epoch(), ranks = settings.ranks == nullptr ? 1 : settings.ranks->size(),
                rank = settings.ranks == nullptr ? 0 : settings.ranks->rank(),
                first_batch = all * rank / ranks, end_batch = all * (rank + 1) / ranks;
  const int64_t begin = first_batch * batch_size_, end = std::min(images_, end_batch * batch_size_);
  if (first_batch < end_batch) {
    batches_.begin_epoch(0, first_batch);
    if (mirrored_) mirrored_->begin_epoch(0, first_batch);
  }
  for (Tensor* counter : {&correct_, &in_top_}) counter->fill_with_zeros();
  losses_.fill_with_zeros();
  position_.copy_from(Tensor::from<int64_t>({first_batch}, {}));
  Evaluation evaluation;
  const auto evaluate_batch = [&](int64_t first, int64_t count) {
    const NoGrad no_grad;  // not in hooks: they may train another model
    if (count == batch_size_) return add_next();
    const int64_t batch = first / batch_size_;
    add(batches_.at(batch), mirrored_ ? &mirrored_->at(batch) : nullptr);
  };
  evaluation.images =
      for_each_batch(end - begin, batch_size_, settings, place_.device, [&](int64_t first, int64_t count) {
        evaluate_batch(begin + first, count);
        if (settings.on_logits) settings.on_logits(begin + first, logits_);
      });
  logits_ = {};
  if (settings.ranks != nullptr) evaluation.images = sum_over(*settings.ranks, evaluation.images);
  const double images = static_cast<double>(std::max<int64_t>(evaluation.images, 1));
  const std::vector<double> losses = losses_.to_doubles();  // 0 where a batch was not evaluated
  for (int64_t i = 0; i < all; ++i) {
    const int64_t size = std::min(batch_size_, images_ - i * batch_size_);
    evaluation.loss += losses[static_cast<size_t>(i)] * static_cast<double>(size);
  }
  evaluation.loss /= images;
  evaluation.accuracy = correct_.item() / images;
  if (classes_ >= kClassesForTop) evaluation.top5_accuracy = in_top_.item() / images;
  return evaluation;
}

/// Adds up what the ranks have counted; returns the sum of their images.
int64_t Evaluator::sum_over(Ranks& ranks, int64_t images) {
  // A rank without a batch does not know how many classes there are.
  const int64_t knows = images > 0 ? 1 : 0;
  Tensor counts = Tensor::from<int64_t>({images, knows, knows * classes_}, {3}).to(place_.device);
  for (Tensor* numbers : {&counts, &correct_, &in_top_, &losses_}) ranks.sum(*numbers);
  const std::vector<double> sums = counts.to_doubles();
  if (sums[1] > 0) classes_ = static_cast<int64_t>(sums[2] / sums[1]);
  return static_cast<int64_t>(sums[0]);
}

/// The next batch, which is a whole one.
void Evaluator::add_next() {
  if (graph_) return graph_->replay();
  const auto step = [&] { add(batches_.next(position_), mirrored_ ? &mirrored_->next(position_) : nullptr); };
  step();
  if (!wants_capture_) return;
  release_cached_memory(place_.device);  // the graph has memory of its own, and needs as much
  try {
    graph_.emplace(place_.device, step);
  } catch (const OutOfMemory&) {
    wants_capture_ = false;  // slower, but it goes
  }
}

Tensor Evaluator::logits_of(const Batch& batch) const {
  return model_.forward(batch.images).value();
}

void Evaluator::add(const Batch& batch, const Batch* mirrored) {
  Tensor logits = logits_of(batch);
  if (mirrored != nullptr) {
    kernels::accumulate(logits_of(*mirrored), logits);
    kernels::scale_forward(logits, 0.5, logits);
  }
  const Tensor loss = F::softmax_cross_entropy(Variable(logits), batch.labels).value();
  classes_ = logits.shape(1);
  if (keeps_logits_) logits_ = logits;
  kernels::count_correct(logits, batch.labels, /*k=*/1, correct_);
  if (classes_ >= kClassesForTop) kernels::count_correct(logits, batch.labels, kTop, in_top_);
  kernels::record_step(loss, zero_, zero_, position_, losses_, ignored_, ignored_);
}

}  // namespace fovea
