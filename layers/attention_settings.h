#pragma once

#include <cstdint>
#include <optional>

#include "fovea/core/settings_fields.h"

#pragma GCC visibility push(default)
namespace fovea {

/// How the logits x become the mask M: mixed sigmoid(x); channel x / ||x|| over the channels at each
/// position; spatial sigmoid((x - mean) / deviation) over the positions of each channel. (eq. 4, 5, 6 of the
/// paper)
enum class Attention { mixed, channel, spatial };
template <>
inline constexpr EnumNames enum_names<Attention>{"attention", {"mixed", "channel", "spatial"}};

/// How mask M and trunk T become one: residual (1 + M) * T (eq. 3), naive M * T (eq. 1).
enum class Merge { residual, naive };
template <>
inline constexpr EnumNames enum_names<Merge>{"merge", {"residual", "naive"}};

/// How a mask branch sees its surroundings. `down_up` is the paper's bottom-up top-down branch. `local` is
/// the branch it is compared with ("local convolutions"): the same number of residual units, one after
/// another at full size, with neither pooling nor up-sampling.
enum class MaskKind { down_up, local };
template <>
inline constexpr EnumNames enum_names<MaskKind>{"mask", {"down-up", "local"}};

/// The switches of an attention module. A new one is a field and its line in visit: options of a named model,
/// flags and files of the trainer and what its checkpoints keep follow. Held<T> is T in settings, and
/// std::optional<T> in changes of them.
template <template <class> class Held>
struct AttentionFields {
  Held<int64_t> p = initially<Held>(int64_t{1});
  Held<int64_t> t = initially<Held>(int64_t{2});
  Held<int64_t> r = initially<Held>(int64_t{1});
  Held<Attention> attention = initially<Held>(Attention::mixed);
  Held<Merge> merge = initially<Held>(Merge::residual);
  Held<MaskKind> mask = initially<Held>(MaskKind::down_up);
  // As popular reimplementations do: the mask branch also adds the kept map itself at each inner level, and
  // the trunk's output at the last.
  Held<bool> extra_adds = initially<Held>(false);

  template <class V>
  void visit(V&& v) {
    v("p", p, {.help = "residual units before, and again after the two branches of a module", .most = 16});
    v("t", t, {.help = "residual units in the trunk branch", .least = 1, .most = 16});
    v("r", r, {.help = "residual units between poolings in the mask branch", .least = 1, .most = 16});
    v("attention", attention, {.help = "normalisation of the mask"});
    v("merge", merge, {.help = "(1 + M) * T, or M * T"});
    v("mask", mask, {.help = "mask branch with poolings, or of local convolutions"});
    v("extra_adds", extra_adds, {.help = "also add the maps kept on the way down, and the trunk"});
  }
};

using AttentionSettings = AttentionFields<AsIs>;
/// Changes of the switches; what is not set stays as it is.
using AttentionOptions = AttentionFields<std::optional>;

}  // namespace fovea
#pragma GCC visibility pop
