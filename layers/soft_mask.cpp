#include "fovea/layers/soft_mask.h"

namespace fovea {
namespace {

int64_t middle_units(int64_t depth, const AttentionSettings& s) {
  const int64_t levels = s.mask == MaskKind::local && depth > 1 ? depth - 1 : 0;
  return 2 * s.r + levels * (2 * s.r + 1);
}

}  // namespace

SoftMask::SoftMask(int64_t C, int64_t depth, const AttentionSettings& settings, Rng& rng)
    : norm1(C),
      conv1(C, C, /*kernel=*/1, /*stride=*/1, /*padding=*/0, rng),
      norm2(C),
      conv2(C, C, /*kernel=*/1, /*stride=*/1, /*padding=*/0, rng),
      poolings_(settings.mask == MaskKind::down_up ? depth : 0),
      settings_(settings) {
  check<UsageError>(depth >= 0 && settings.r >= 1, "SoftMask: depth ", depth, " and r ", settings.r,
                    ", wanted a depth of at least 0 and an r of at least 1");
  for (int64_t level = 1; level < poolings_; ++level) {
    down.push_back(residual_units(C, settings.r, rng));
    skip.push_back(ResidualUnit(C, C, /*stride=*/1, rng));
    up.push_back(residual_units(C, settings.r, rng));
  }
  middle = residual_units(C, middle_units(depth, settings), rng);
}

Variable SoftMask::forward(const Variable& x, const Variable& trunk) {
  std::vector<Variable> kept;  // the maps of the inner levels, largest first
  Variable y = x;
  for (Sequential<ResidualUnit>& units : down) {
    y = units.forward(F::max_pool(y, /*window=*/3, /*stride=*/2, /*padding=*/1));  // [N, H/2, W/2, C]
    kept.push_back(y);
  }
  if (poolings_ > 0) y = F::max_pool(y, /*window=*/3, /*stride=*/2, /*padding=*/1);
  y = middle.forward(y);

  for (size_t level = kept.size(); level-- > 0;) {
    y = F::upsample_add(y, skip[level].forward(kept[level]));  // [N, 2H, 2W, C]
    if (settings_.extra_adds) y = F::add(y, kept[level]);
    y = up[level].forward(y);
  }
  if (poolings_ > 0)
    y = settings_.extra_adds ? F::upsample_add(y, trunk) : F::upsample(y, x.shape(1), x.shape(2));

  return F::preactivation_convs(y, {norm1.then(conv1), norm2.then(conv2)}, {}, /*wants_moments=*/false);
}

void SoftMask::visit(Visitor& v) {
  v("down", down);
  v("skip", skip);
  v("middle", middle);
  v("up", up);
  v("norm1", norm1);
  v("conv1", conv1);
  v("norm2", norm2);
  v("conv2", conv2);
}

}  // namespace fovea
