#include "variants.h"

#include "fovea/models/preact_resnet.h"
#include "fovea/models/residual_attention.h"

namespace fovea::test {
namespace {

ResidualAttentionSettings narrow() {
  ResidualAttentionSettings s;
  s.classes = kVariantClasses;
  s.stem = 8;
  s.channels = {8, 16, 16};
  s.modules = {1, 1, 1};
  return s;
}

ResidualAttentionSettings one_module() {
  ResidualAttentionSettings s = narrow();
  s.modules = {1, 0, 0};
  return s;
}

ResidualAttentionSettings with(Attention attention, Merge merge) {
  ResidualAttentionSettings s = one_module();
  s.attention = attention;
  s.merge = merge;
  return s;
}

ResidualAttentionSettings local() {
  ResidualAttentionSettings s = one_module();
  s.mask = MaskKind::local;
  return s;
}

ResidualAttentionSettings deep() {
  ResidualAttentionSettings s = narrow();
  s.modules = {0, 0, 1};
  s.mask_depth = {1, 1, 2};
  s.p = 2;
  s.t = 3;
  s.r = 2;
  return s;
}

ResidualAttentionSettings wide() {
  ResidualAttentionSettings s = narrow();
  s.stem_bn = true;
  s.modules = {1, 2, 1};
  s.mask_depth = {2, 1, 0};
  s.closing_unit = false;
  s.tail = {32, 32};
  s.extra_adds = true;
  return s;
}

ResidualAttentionSettings imagenet() {
  ResidualAttentionSettings s = wide();
  s.stem_kind = StemKind::conv7x7_pool;
  s.channels = {8, 16};
  s.modules = {1, 1};
  s.mask_depth = {2, 1};
  s.extra_adds = false;
  s.tail_stride = 2;
  return s;
}

PreActResNetSettings preact() {
  PreActResNetSettings s;
  s.classes = kVariantClasses;
  s.stem = 8;
  s.channels = {8, 16, 16};
  s.units = 2;
  return s;
}

template <class Network, class Settings>
Variant variant(const std::string& name, const Settings& settings) {
  return {name, smallest_input(settings),
          [settings](uint64_t seed) { return std::make_unique<Network>(settings, seed); }};
}

}  // namespace

const std::vector<Variant>& variants() {
  using Network = ResidualAttentionNetwork;
  static const std::vector<Variant> all{
      variant<Network>("mixed", narrow()),
      variant<Network>("channel", with(Attention::channel, Merge::residual)),
      variant<Network>("spatial", with(Attention::spatial, Merge::residual)),
      variant<Network>("naive", with(Attention::mixed, Merge::naive)),
      variant<Network>("naive-channel", with(Attention::channel, Merge::naive)),
      variant<Network>("naive-spatial", with(Attention::spatial, Merge::naive)),
      variant<Network>("local", local()),
      variant<Network>("deep", deep()),
      variant<Network>("wide", wide()),
      variant<Network>("imagenet", imagenet()),
      variant<PreActResNet>("preact", preact()),
  };
  return all;
}

}  // namespace fovea::test
