#include "fovea/models/residual_attention.h"

#include <algorithm>

namespace fovea {
namespace {

/// The settings themselves, if they make sense.
ResidualAttentionSettings checked(const ResidualAttentionSettings& s) {
  check<UsageError>(s.classes >= 1, "ResidualAttentionNetwork: ", s.classes, " classes, wanted at least 1");
  check<UsageError>(!s.channels.empty() && s.modules.size() == s.channels.size() &&
                        s.mask_depth.size() == s.channels.size(),
                    "ResidualAttentionNetwork: ", s.channels.size(), " channels, ", s.modules.size(),
                    " modules, ", s.mask_depth.size(), " mask depths; wanted one of each for every stage");
  for (const int64_t modules : s.modules) {
    check<UsageError>(modules >= 0, "ResidualAttentionNetwork: a stage has ", modules, " attention modules");
  }
  const int64_t smallest = smallest_input(s);
  check<UsageError>(s.input_size >= smallest, "ResidualAttentionNetwork: input size ", s.input_size,
                    " is too small for the stages and masks; the smallest is ", smallest);
  return s;
}

Conv make_stem(const ResidualAttentionSettings& s, Rng& rng) {
  if (s.stem_kind == StemKind::conv7x7_pool) {
    return Conv(/*C=*/3, s.stem, /*kernel=*/7, /*stride=*/2, /*padding=*/3, rng);
  }
  return Conv(/*C=*/3, s.stem, /*kernel=*/3, /*stride=*/1, /*padding=*/1, rng);
}

std::vector<AttentionStage> make_stages(const ResidualAttentionSettings& s, Rng& rng) {
  std::vector<AttentionStage> stages;
  int64_t C = s.stem;
  for (size_t stage = 0; stage < s.channels.size(); ++stage) {
    stages.emplace_back(C, stage, s, rng);
    C = s.channels[stage];
  }
  return stages;
}

Sequential<ResidualUnit> make_tail(const ResidualAttentionSettings& s, Rng& rng) {
  Sequential<ResidualUnit> tail;
  int64_t C = s.channels.back();
  for (const int64_t K : s.tail) {
    tail.add(ResidualUnit(C, K, tail.layers.empty() ? s.tail_stride : 1, rng));
    C = K;
  }
  return tail;
}

int64_t last_channels(const ResidualAttentionSettings& s) {
  return s.tail.empty() ? s.channels.back() : s.tail.back();
}

}  // namespace

int64_t smallest_input(const ResidualAttentionSettings& s) {
  int64_t halvings = 0;  // on the longest way down
  for (size_t stage = 0; stage < s.mask_depth.size(); ++stage) {
    const bool has_pooling = s.mask == MaskKind::down_up && s.modules[stage] > 0;
    halvings = std::max(halvings, static_cast<int64_t>(stage) + (has_pooling ? s.mask_depth[stage] : 0));
  }
  if (!s.tail.empty() && s.tail_stride > 1) {
    halvings = std::max(halvings, static_cast<int64_t>(s.mask_depth.size()));
  }
  if (s.stem_kind == StemKind::conv7x7_pool) halvings += 2;
  // H -> ceil(H / 2) at every halving, and two rows before the last.
  return halvings == 0 ? 1 : (int64_t{1} << (halvings - 1)) + 1;
}

AttentionStage::AttentionStage(int64_t C, size_t stage, const ResidualAttentionSettings& s, Rng& rng)
    : unit(C, s.channels[stage], stage == 0 ? 1 : 2, rng) {
  const int64_t K = s.channels[stage];
  for (int64_t i = 0; i < s.modules[stage]; ++i) modules.emplace_back(K, s.mask_depth[stage], s, rng);
  if (s.closing_unit) closing.emplace(K, K, /*stride=*/1, rng);
}

Variable AttentionStage::forward(const Variable& x) {
  Variable y = unit.forward(x);  // [N, H/stride, W/stride, K]
  for (AttentionModule& module : modules) y = module.forward(y);
  return closing ? closing->forward(y) : y;
}

void AttentionStage::visit(Visitor& v) {
  v("unit", unit);
  v("modules", modules);
  v("closing", closing);
}

ResidualAttentionNetwork::ResidualAttentionNetwork(const ResidualAttentionSettings& s, uint64_t seed)
    : ResidualAttentionNetwork(checked(s), Rng(seed)) {}

ResidualAttentionNetwork::ResidualAttentionNetwork(const ResidualAttentionSettings& s, Rng rng)
    : settings(s),
      stem(make_stem(settings, rng)),
      stages(make_stages(settings, rng)),
      tail(make_tail(settings, rng)),
      norm(last_channels(settings)),
      linear(last_channels(settings), settings.classes, rng) {
  if (settings.stem_bn) stem_norm.emplace(settings.stem);
}

Variable ResidualAttentionNetwork::forward(const Variable& x) {
  check(x.shape().rank() == 4 && x.shape(3) == 3, "ResidualAttentionNetwork: input is ", x.shape(),
        ", wanted [N, H, W, 3]");
  const int64_t H = x.shape(1), W = x.shape(2), smallest = smallest_input(settings);
  check<UsageError>(std::min(H, W) >= smallest, "ResidualAttentionNetwork: images of ", H, "x", W,
                    " are too small for the stages and masks; the smallest is ", smallest, "x", smallest);

  Variable y = stem.forward(x);
  if (stem_norm) y = stem_norm->forward_relu(y);
  if (settings.stem_kind == StemKind::conv7x7_pool) {
    y = F::max_pool(y, /*window=*/3, /*stride=*/2, /*padding=*/1);
  }
  for (AttentionStage& stage : stages) y = stage.forward(y);
  y = tail.forward(y);                                             // [N, H', W', C]
  return linear.forward(F::global_average(norm.forward_relu(y)));  // [N, classes]
}

void ResidualAttentionNetwork::visit(Visitor& v) {
  v("stem", stem);
  v("stem_norm", stem_norm);
  v("stages", stages);
  v("tail", tail);
  v("norm", norm);
  v("linear", linear);
}

}  // namespace fovea
