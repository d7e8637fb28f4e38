#include "attention_pictures.h"

#include <fmt/format.h>
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <numeric>
#include <sstream>

namespace fovea::cli {
namespace {

constexpr int64_t kCell = 96, kGap = 6;
constexpr int64_t kLine = 2 * Picture::kGlyphHeight + 2;  // of text at twice its size
constexpr int64_t kTitle = kGap + kLine, kScale = 6;
constexpr int64_t kChannels = 3;  // of a module's picture
constexpr Colour kGrey{110, 110, 110};

struct Extents {
  explicit Extents(const Tensor& x) : N(x.shape(0)), H(x.shape(1)), W(x.shape(2)), C(x.shape(3)) {}
  int64_t N, H, W, C;
};

/// Channel c of image n, [H, W].
std::vector<float> channel_of(const Tensor& x, int64_t n, int64_t c) {
  const Extents of(x);
  std::vector<float> map(static_cast<size_t>(of.H * of.W));
  const float* from = x.data<float>() + n * of.H * of.W * of.C + c;
  for (size_t i = 0; i < map.size(); ++i) map[i] = from[static_cast<int64_t>(i) * of.C];
  return map;
}

struct Moments {
  double mean = 0, deviation = 0;
};

Moments moments_of(std::span<const float> values) {
  const double count = static_cast<double>(values.size());
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / count;
  double squares = 0;
  for (const float value : values) squares += (value - mean) * (value - mean);
  return {mean, std::sqrt(squares / count)};
}

double mean_magnitude(const Tensor& x) {
  double sum = 0;
  for (const float value : x.span<float>()) sum += std::abs(value);
  return x.size() > 0 ? sum / static_cast<double>(x.size()) : 0;
}

struct Limits {
  double least = std::numeric_limits<double>::infinity(), greatest = -least;
  void add(std::span<const float> values) {
    for (const float value : values) {
      least = std::min<double>(least, value);
      greatest = std::max<double>(greatest, value);
    }
  }
};

/// One column of a picture: a map of each image, in colours that span the column, unless its limits are those
/// of several.
struct Column {
  Column(std::string caption_, int64_t H_, int64_t W_) : caption(std::move(caption_)), H(H_), W(W_) {}
  void add(std::vector<float> map) {
    limits.add(map);
    maps.push_back(std::move(map));
  }

  std::string caption, group;  // the group's name stands above the first of its columns
  int64_t H, W;
  std::vector<std::vector<float>> maps;
  Limits limits;
  bool begins_group = true;  // further from the column before it
};

Column column_of_channel(const std::string& caption, const Tensor& x, int64_t c) {
  Column column(caption, x.shape(1), x.shape(2));
  for (int64_t n = 0; n < x.shape(0); ++n) column.add(channel_of(x, n, c));
  return column;
}

Column column_of_mean(const std::string& caption, const AttentionMaps& maps) {
  const Tensor mean = mean_mask(maps);
  Column column(caption, mean.shape(1), mean.shape(2));
  for (int64_t n = 0; n < mean.shape(0); ++n) {
    const auto map = mean.span<float>().subspan(static_cast<size_t>(n * column.H * column.W),
                                                static_cast<size_t>(column.H * column.W));
    column.add({map.begin(), map.end()});
  }
  return column;
}

/// At twice its size where the text fits into a width, which is that of the picture, or of columns.
void write_fitting(Picture& picture, int64_t top, int64_t left, const std::string& text, int64_t width) {
  const int64_t scale = 2 * std::ssize(text) * Picture::kGlyphWidth <= width ? 2 : 1;
  picture.write(top + (scale == 1 ? Picture::kGlyphHeight / 2 : 0), left, text, {0, 0, 0}, scale);
}

/// The colours from dark to bright, and what they mean.
void draw_scale(Picture& picture, int64_t top, int64_t left, const Limits& limits) {
  for (int64_t i = 0; i < kCell; ++i) {
    picture.fill(top, left + i, kScale, 1, heat(static_cast<double>(i) / (kCell - 1)));
  }
  const std::string greatest = fmt::format("{:.2f}", limits.greatest);
  picture.write(top + kScale + 2, left, fmt::format("{:.2f}", limits.least), kGrey);
  picture.write(top + kScale + 2, left + kCell - std::ssize(greatest) * Picture::kGlyphWidth, greatest,
                kGrey);
}

/// In lines of at most `letters`, broken at spaces.
std::vector<std::string> lines_of(const std::string& text, size_t letters) {
  std::vector<std::string> lines;
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    if (lines.empty() || lines.back().size() + 1 + word.size() > letters) {
      lines.push_back(word);
    } else {
      lines.back() += " " + word;
    }
  }
  return lines;
}

/// What the title says and what is to be known of the colours; the names of the images, if they are shown.
struct Texts {
  std::string title, note;
  const std::vector<std::string>& names;
};

/// The images, and the columns beside them, each under its caption and its scale of colours.
Picture draw_columns(const Tensor& images, const std::vector<Column>& columns, const Texts& texts) {
  const std::string& title = texts.title;
  const int64_t N = images.shape(0), name_height = texts.names.empty() ? 0 : Picture::kGlyphHeight + 2;
  std::vector<int64_t> lefts;
  int64_t end = kGap + kCell, captions_end = end;
  for (const Column& column : columns) {
    lefts.push_back(end + (column.begins_group ? 3 * kGap : kGap));
    end = lefts.back() + kCell;
    captions_end = std::max(end, lefts.back() + std::ssize(column.caption) * Picture::kGlyphWidth);
  }
  const int64_t title_width = static_cast<int64_t>(title.size()) * Picture::kGlyphWidth;
  const std::vector<std::string> notes = lines_of(
      texts.note,
      static_cast<size_t>((std::max(captions_end, kGap + title_width) - kGap) / Picture::kGlyphWidth));
  const int64_t groups = kTitle + kGap + std::ssize(notes) * Picture::kGlyphHeight;
  const int64_t captions = groups + kLine, scales = captions + kLine;
  const int64_t maps = scales + kScale + 2 * Picture::kGlyphHeight;
  const int64_t row = kCell + name_height + kGap;
  Picture picture(maps + N * row, std::max(captions_end, kGap + title_width) + kGap);
  write_fitting(picture, kGap, kGap, title, end - kGap);
  for (size_t i = 0; i < notes.size(); ++i)
    picture.write(kTitle + static_cast<int64_t>(i) * Picture::kGlyphHeight, kGap, notes[i], kGrey);
  const auto top_of = [maps, row](int64_t n) { return maps + n * row; };
  write_fitting(picture, captions, kGap, "image", kCell);
  const int64_t H = images.shape(1), W = images.shape(2);
  for (int64_t n = 0; n < N; ++n) {
    picture.draw_image(top_of(n), kGap, kCell, kCell, images.slice(n * H * W * 3, {H, W, 3}));
    if (texts.names.empty()) continue;
    picture.write(top_of(n) + kCell + 2, kGap,
                  short_name(texts.names[static_cast<size_t>(n)], kCell / Picture::kGlyphWidth));
  }
  for (size_t i = 0; i < columns.size(); ++i) {
    const Column& column = columns[i];
    const auto& [least, greatest] = column.limits;
    write_fitting(picture, groups, lefts[i], column.group, 2 * kCell);
    write_fitting(picture, captions, lefts[i], column.caption, kCell);
    draw_scale(picture, scales, lefts[i], column.limits);
    for (int64_t n = 0; n < N; ++n) {
      picture.draw_map(top_of(n), lefts[i], kCell, kCell, column.maps[static_cast<size_t>(n)], column.H,
                       column.W, least, greatest);
    }
  }
  return picture;
}

}  // namespace

MaskSpread spread_of(const AttentionMaps& maps) {
  const Extents of(maps.mask);
  MaskSpread spread;
  Limits limits;
  limits.add(maps.mask.span<float>());
  spread.mean = moments_of(maps.mask.span<float>()).mean;
  spread.least = limits.least;
  spread.greatest = limits.greatest;
  for (int64_t n = 0; n < of.N; ++n) {
    std::vector<float> means;
    for (int64_t c = 0; c < of.C; ++c) {
      const Moments moments = moments_of(channel_of(maps.mask, n, c));
      spread.over_positions += moments.deviation / static_cast<double>(of.N * of.C);
      means.push_back(static_cast<float>(moments.mean));
    }
    spread.over_channels += moments_of(means).deviation / static_cast<double>(of.N);
  }
  spread.trunk = mean_magnitude(maps.trunk);
  spread.merged = mean_magnitude(maps.merged);
  return spread;
}

Tensor mean_mask(const AttentionMaps& maps) {
  const Extents of(maps.mask);
  Tensor mean = Tensor::empty({of.N, of.H, of.W});
  const auto* mask = maps.mask.data<float>();
  auto* out = mean.data<float>();
  for (int64_t i = 0; i < mean.size(); ++i) {
    out[i] = static_cast<float>(std::accumulate(mask + i * of.C, mask + (i + 1) * of.C, 0.0) /
                                static_cast<double>(of.C));
  }
  return mean;
}

std::vector<int64_t> varying_channels(const AttentionMaps& maps, int64_t count) {
  const Extents of(maps.mask);
  std::vector<double> deviations(static_cast<size_t>(of.C));
  for (int64_t c = 0; c < of.C; ++c) {
    for (int64_t n = 0; n < of.N; ++n) {
      deviations[static_cast<size_t>(c)] += moments_of(channel_of(maps.mask, n, c)).deviation;
    }
  }
  std::vector<int64_t> channels(deviations.size());
  std::iota(channels.begin(), channels.end(), 0);
  std::stable_sort(channels.begin(), channels.end(), [&](int64_t a, int64_t b) {
    return deviations[static_cast<size_t>(a)] > deviations[static_cast<size_t>(b)];
  });
  channels.resize(static_cast<size_t>(std::min(count, of.C)));
  return channels;
}

std::string short_name(const std::string& path, size_t letters) {
  std::string name;
  for (const char c : std::filesystem::path(path).filename().string()) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80) name += c;
    if (byte >= 0xc0) name += '*';  // a letter that pictures have no sign for
  }
  constexpr size_t kGapLetters = 2;
  if (name.size() <= letters) return name;
  const size_t end = (letters - kGapLetters) / 2, begin = letters - kGapLetters - end;
  return name.substr(0, begin) + ".." + name.substr(name.size() - end);
}

double mean_span(const AttentionMaps& maps) {
  Limits limits;
  limits.add(mean_mask(maps).span<float>());
  return limits.greatest - limits.least;
}

std::string flat_text(const std::vector<AttentionMaps>& maps) {
  std::string text;
  for (const AttentionMaps& of_module : maps) {
    const double span = mean_span(of_module);
    if (span >= kFlatSpan) continue;
    text += fmt::format("{}{} (spans {:.3f})", text.empty() ? "" : ", ", of_module.path, span);
  }
  return text.empty() ? "" : "nearly flat, so that the colours of its mean show small differences: " + text;
}

Picture draw_module(const AttentionMaps& maps, const Tensor& images, const std::string& title,
                    const std::vector<std::string>& names) {
  std::vector<Column> columns{column_of_mean("mask", maps)};
  columns[0].group = "mean of";
  for (const int64_t c : varying_channels(maps, kChannels)) {
    Column before = column_of_channel("before", maps.trunk, c);
    Column mask = column_of_channel("mask", maps.mask, c);
    Column after = column_of_channel("after", maps.merged, c);
    // In the same colours, so that what the mask brings out is brighter.
    before.limits = after.limits = {std::min(before.limits.least, after.limits.least),
                                    std::max(before.limits.greatest, after.limits.greatest)};
    before.group = fmt::format("channel {}", c);
    mask.begins_group = after.begins_group = false;
    for (Column* column : {&before, &mask, &after}) columns.push_back(std::move(*column));
  }
  return draw_columns(images, columns, {title, flat_text({maps}), names});
}

std::string caption_of(const std::string& path) {
  constexpr size_t kLetters = (kCell + 3 * kGap) / Picture::kGlyphWidth - 1;  // and one between two of them
  return path.size() <= kLetters ? path : path.substr(path.size() - kLetters);
}

Picture draw_overview(const std::vector<AttentionMaps>& maps, const Tensor& images, const std::string& title,
                      const std::vector<std::string>& names) {
  std::vector<Column> columns;
  for (const AttentionMaps& of_module : maps) {
    columns.push_back(column_of_mean(caption_of(of_module.path), of_module));
    columns.back().group = "mask of";
  }
  return draw_columns(images, columns, {title, flat_text(maps), names});
}

Picture draw_responses(const std::vector<AttentionMaps>& maps, const std::string& title) {
  constexpr int64_t kRow = 26, kBars = 360, kLabel = 150, kBar = 9;
  constexpr Colour kBefore{120, 140, 180}, kAfter{222, 76, 66};
  std::vector<MaskSpread> spreads;
  double greatest = 0;
  for (const AttentionMaps& of_module : maps) {
    spreads.push_back(spread_of(of_module));
    greatest = std::max({greatest, spreads.back().trunk, spreads.back().merged});
  }
  const int64_t width = kLabel + kBars + 80;
  Picture picture(kTitle + kRow + std::ssize(maps) * kRow + kGap, width);
  picture.write(kGap, kGap, title);
  picture.fill(kTitle + 1, kLabel, kBar, kBar, kBefore);
  picture.write(kTitle + 2, kLabel + 14, "before the mask");
  picture.fill(kTitle + 1, kLabel + 140, kBar, kBar, kAfter);
  picture.write(kTitle + 2, kLabel + 154, "after it");
  for (size_t i = 0; i < maps.size(); ++i) {
    const int64_t top = kTitle + kRow + static_cast<int64_t>(i) * kRow;
    picture.write(top + 6, kGap, maps[i].path);
    const auto draw = [&](int64_t h, double value, Colour colour) {
      const auto length = static_cast<int64_t>(std::lround(kBars * (greatest > 0 ? value / greatest : 0)));
      picture.fill(h, kLabel, kBar, length, colour);
      picture.write(h + 1, kLabel + length + 5, fmt::format("{:.3f}", value), kGrey);
    };
    draw(top, spreads[i].trunk, kBefore);
    draw(top + kBar + 1, spreads[i].merged, kAfter);
  }
  return picture;
}

}  // namespace fovea::cli
