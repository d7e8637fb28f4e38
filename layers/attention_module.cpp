#include "fovea/layers/attention_module.h"

#include <utility>

namespace fovea {
namespace {

thread_local const MergeObserver::Callback* merge_callback = nullptr;  // of the innermost MergeObserver

}  // namespace

AttentionModule::AttentionModule(int64_t C, int64_t mask_depth, const AttentionSettings& settings, Rng& rng)
    : before(residual_units(C, settings.p, rng)),
      trunk(residual_units(C, settings.t, rng)),
      mask(C, mask_depth, settings, rng),
      after(residual_units(C, settings.p, rng)),
      attention_(settings.attention),
      merge_(settings.merge) {
  check<UsageError>(settings.p >= 0 && settings.t >= 1, "AttentionModule: p ", settings.p, " and t ",
                    settings.t, ", wanted a p of at least 0 and a t of at least 1");
}

Variable AttentionModule::forward(const Variable& x) {
  const Variable y = before.forward(x);
  const Variable t = trunk.forward(y);
  const Variable logits = mask.forward(y, t);
  const Variable merged = merge(logits, t);
  if (merge_callback != nullptr) (*merge_callback)(*this, logits, t, merged);
  return after.forward(merged);
}

Variable AttentionModule::mask_of(const Variable& logits) const {
  switch (attention_) {
    case Attention::mixed: return F::sigmoid(logits);
    case Attention::channel: return F::channel_norm(logits);
    case Attention::spatial: return F::sigmoid(F::spatial_norm(logits));
  }
  throw Error("AttentionModule: not an attention");
}

/// The mask itself is only made for channel attention: the merge of the others takes the logits.
Variable AttentionModule::merge(const Variable& logits, const Variable& t) const {
  const bool is_residual = merge_ == Merge::residual;
  if (attention_ == Attention::channel) {
    const Variable masked = F::mul(mask_of(logits), t);
    return is_residual ? F::add(t, masked) : masked;  // (1 + M) * T = T + M * T
  }
  const Variable m = attention_ == Attention::spatial ? F::spatial_norm(logits) : logits;
  return is_residual ? F::attention_merge(m, t) : F::attention_merge_naive(m, t);
}

void AttentionModule::visit(Visitor& v) {
  v("before", before);
  v("trunk", trunk);
  v("mask", mask);
  v("after", after);
}

MergeObserver::MergeObserver(Callback callback)
    : callback_(std::move(callback)), before_(std::exchange(merge_callback, &callback_)) {}
MergeObserver::~MergeObserver() {
  merge_callback = before_;
}

}  // namespace fovea
