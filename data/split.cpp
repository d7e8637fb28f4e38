#include "fovea/data/split.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <utility>
#include <vector>

#include "fovea/core/check.h"
#include "fovea/core/random.h"

namespace fovea {
namespace {

/// How many of each class are held out: its share rounded down, and one more for those with the largest rest.
std::vector<int64_t> quotas(const std::vector<std::vector<int64_t>>& members, int64_t count, int64_t size) {
  std::vector<int64_t> quota, order(members.size());
  int64_t sum = 0;
  for (const std::vector<int64_t>& of_class : members) {
    quota.push_back(std::ssize(of_class) * count / size);
    sum += quota.back();
  }
  const auto rest = [&](int64_t c) { return std::ssize(members[static_cast<size_t>(c)]) * count % size; };
  std::iota(order.begin(), order.end(), int64_t{0});
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return rest(a) > rest(b); });
  for (size_t i = 0; sum < count; ++i, ++sum) ++quota[static_cast<size_t>(order[i])];
  return quota;
}

}  // namespace

std::vector<int64_t> held_out_images(std::span<const int32_t> labels, int64_t classes, int64_t count,
                                     uint64_t seed, const std::string& name) {
  check<UsageError>(count >= 1 && count < std::ssize(labels), "hold_out: ", count, " images of the ",
                    labels.size(), " of ", name, " wanted; at least 1 must stay on either side");
  std::vector<std::vector<int64_t>> members(static_cast<size_t>(classes));
  for (int64_t n = 0; n < std::ssize(labels); ++n) {
    const int32_t label = labels[static_cast<size_t>(n)];
    check(label >= 0 && label < classes, "hold_out: image ", n, " of ", name, " has the label ", label,
          ", wanted 0 to ", classes - 1);
    members[static_cast<size_t>(label)].push_back(n);
  }
  const std::vector<int64_t> quota = quotas(members, count, std::ssize(labels));
  std::vector<int64_t> held_out;
  for (size_t c = 0; c < members.size(); ++c) {
    Random random(seed, Purpose::hold_out, 0, static_cast<uint32_t>(c));
    std::vector<int64_t>& rest = members[c];
    for (int64_t i = 0; i < quota[c]; ++i) {
      const size_t chosen = random.below(static_cast<uint32_t>(rest.size()));
      held_out.push_back(rest[chosen]);
      rest[chosen] = rest.back();
      rest.pop_back();
    }
  }
  std::sort(held_out.begin(), held_out.end());
  return held_out;
}

ImageSet hold_out(ImageSet& set, int64_t count, uint64_t seed) {
  const std::vector<int64_t> chosen =
      held_out_images(set.labels.span<int32_t>(), set.classes(), count, seed, set.name);
  const int64_t size = set.images.size() / set.size();
  ImageSet held_out{set.name, Tensor::empty(set.images.shape().with(0, count), Dtype::u8),
                    Tensor::empty({count}, Dtype::i32), set.class_names};
  uint8_t *images = set.images.data<uint8_t>(), *held_images = held_out.images.data<uint8_t>();
  int32_t *labels = set.labels.data<int32_t>(), *held_labels = held_out.labels.data<int32_t>();
  std::vector<std::string> kept_files;
  int64_t kept = 0, held = 0;
  for (int64_t n = 0; n < set.size(); ++n) {
    const bool is_held = held < count && chosen[static_cast<size_t>(held)] == n;
    if (!set.files.empty()) {
      (is_held ? held_out.files : kept_files).push_back(std::move(set.files[static_cast<size_t>(n)]));
    }
    if (is_held) {
      std::memcpy(held_images + held * size, images + n * size, static_cast<size_t>(size));
      held_labels[held++] = labels[n];
    } else {
      std::memmove(images + kept * size, images + n * size, static_cast<size_t>(size));
      labels[kept++] = labels[n];
    }
  }
  set.files.clear();
  set = set.first(kept);
  set.files = std::move(kept_files);
  return held_out;
}

void add_label_noise(ImageSet& set, double share, uint64_t seed) {
  const int64_t classes = set.classes();
  check<UsageError>(share >= 0 && share <= 1 && (share == 0 || classes > 1), "add_label_noise: a share of ",
                    share, " of wrong labels among ", classes, " classes; wanted 0 to 1, and two classes");
  set.labels = set.labels.clone();
  for (int64_t n = 0; n < set.size(); ++n) {
    Random random(seed, Purpose::label_noise, 0, static_cast<uint32_t>(n));
    if (random.uniform() >= share) continue;
    int32_t& label = set.labels.data<int32_t>()[n];
    const auto other = static_cast<int32_t>(random.below(static_cast<uint32_t>(classes - 1)));
    label = other < label ? other : other + 1;
  }
}

}  // namespace fovea
