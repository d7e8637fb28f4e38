#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "fovea/models/attention_maps.h"
#include "picture.h"

namespace fovea::cli {

/// How a mask spreads, over all images.
struct MaskSpread {
  double mean = 0, least = 0, greatest = 0;
  double over_positions = 0;     // deviation within one channel of one image, on average
  double over_channels = 0;      // deviation of the channels' means within one image, on average
  double trunk = 0, merged = 0;  // mean of the absolute features before and after the mask
};
MaskSpread spread_of(const AttentionMaps& maps);

/// The mask's mean over its channels: f32 [N, H, W].
Tensor mean_mask(const AttentionMaps& maps);
/// The `count` channels whose mask varies most within an image, most first; all where there are fewer.
std::vector<int64_t> varying_channels(const AttentionMaps& maps, int64_t count);

/// Figure 1 of the paper for one module, a row an image: the image, the mask's mean over its channels, then
/// for each of the channels whose mask varies most: features before, mask, features after.
/// images: u8 [N, H, W, 3]. `names`, one an image, stand under them; empty: none. A flat mask is called one.
Picture draw_module(const AttentionMaps& maps, const Tensor& images, const std::string& title,
                    const std::vector<std::string>& names = {});
/// The name of a file without its folders, in so many letters: "IMG_202..2.jpg".
std::string short_name(const std::string& path, size_t letters);

/// Below this span the mean of a mask counts as flat.
constexpr double kFlatSpan = 0.1;
/// From the least to the greatest value of the mask's mean over its channels, in all images.
double mean_span(const AttentionMaps& maps);
/// Which masks are nearly flat, for people who look at their colours; "": none.
std::string flat_text(const std::vector<AttentionMaps>& maps);

/// A module's path above a map, as in the names of the files; the end of one that is longer.
std::string caption_of(const std::string& path);
/// The masks' means of all modules side by side, a row an image.
Picture draw_overview(const std::vector<AttentionMaps>& maps, const Tensor& images, const std::string& title,
                      const std::vector<std::string>& names = {});
/// Figure 4 of the paper: the mean absolute response of each module, before and after its mask, as bars.
Picture draw_responses(const std::vector<AttentionMaps>& maps, const std::string& title);

}  // namespace fovea::cli
