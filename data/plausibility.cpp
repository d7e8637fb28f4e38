#include "fovea/data/plausibility.h"

#include <algorithm>
#include <functional>
#include <string_view>
#include <utility>

#include "fovea/core/check.h"
#include "fovea/core/parallel_for.h"

namespace fovea {
namespace {

constexpr int64_t kFewest = 100;     // images of a split that tell something
constexpr int64_t kWarnAmong = 100;  // one in so many is worth a warning
constexpr const char* kAdvice = "; look at the files, or get them again";

/// A number for every image, sorted: the same for the same pixels.
std::vector<size_t> sorted_hashes(const Tensor& images) {
  const int64_t N = images.shape(0), bytes = images.size() / std::max<int64_t>(N, 1);
  const auto* pixels = static_cast<const char*>(images.raw());
  std::vector<size_t> hashes(static_cast<size_t>(N));
  parallel_for(N, /*grain=*/256, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      const std::string_view image(pixels + n * bytes, static_cast<size_t>(bytes));
      hashes[static_cast<size_t>(n)] = std::hash<std::string_view>()(image);
    }
  });
  std::sort(hashes.begin(), hashes.end());
  return hashes;
}

struct Repetitions {
  int64_t copies = 0;   // images that are the same as an earlier one
  int64_t longest = 0;  // times that the most frequent image is there
};

Repetitions repetitions_of(const std::vector<size_t>& sorted) {
  Repetitions result;
  for (size_t begin = 0; begin < sorted.size();) {
    size_t end = begin + 1;
    while (end < sorted.size() && sorted[end] == sorted[begin]) ++end;
    const auto count = static_cast<int64_t>(end - begin);
    result.copies += count - 1;
    result.longest = std::max(result.longest, count);
    begin = end;
  }
  return result;
}

/// Images of each class; DataError if all are of one.
std::vector<int64_t> class_counts(const ImageSet& set, const std::string& split) {
  std::vector<int64_t> counts(static_cast<size_t>(set.classes()));
  for (const int32_t label : set.labels.span<int32_t>()) ++counts[static_cast<size_t>(label)];
  const auto most = std::max_element(counts.begin(), counts.end());
  const auto label = static_cast<size_t>(most - counts.begin());
  check<DataError>(*most < set.size(), split, ": all ", set.size(), " images have the label ", label, " (",
                   set.class_names[label], "), expected images of ", set.classes(), " classes", kAdvice);
  return counts;
}

void warn(std::vector<std::string>& warnings, const std::string& where, int64_t count, int64_t of,
          const char* what) {
  if (count * kWarnAmong < of || count == 0) return;
  warnings.push_back(str("warning: ", where, ": ", count, " of ", of, what));
}

/// What was found out about a split; nothing about one that is not looked at.
struct SplitFacts {
  std::vector<size_t> hashes;   // sorted_hashes
  std::vector<int64_t> counts;  // class_counts
};

SplitFacts check_split(const ImageSet& set, const std::string& split, std::vector<std::string>& warnings) {
  if (set.size() < kFewest || set.classes() < 2) return {};
  std::vector<int64_t> counts = class_counts(set, split);
  std::vector<size_t> hashes = sorted_hashes(set.images);
  const Repetitions repetitions = repetitions_of(hashes);
  check<DataError>(2 * repetitions.longest <= set.size(), split, ": ", repetitions.longest, " of ",
                   set.size(), " images are one and the same, expected different ones", kAdvice);
  warn(warnings, split, repetitions.copies, set.size(), " images are the same as an earlier one");
  return {std::move(hashes), std::move(counts)};
}

}  // namespace

std::vector<std::string> check_plausible(const Dataset& dataset, const std::string& where) {
  std::vector<std::string> warnings;
  const std::string train = where + ": training images", test = where + ": test images";
  const auto [train_hashes, counts] = check_split(dataset.train, train, warnings);
  const std::vector<size_t> test_hashes = check_split(dataset.test, test, warnings).hashes;
  if (train_hashes.empty()) return warnings;
  for (size_t label = 0; label < counts.size(); ++label) {
    if (counts[label] > 0) continue;
    warnings.push_back(
        str("warning: ", train, ": none has the label ", label, " (", dataset.train.class_names[label], ")"));
  }
  if (test_hashes.empty()) return warnings;
  const int64_t known =
      std::count_if(test_hashes.begin(), test_hashes.end(), [&known_hashes = train_hashes](size_t hash) {
        return std::binary_search(known_hashes.begin(), known_hashes.end(), hash);
      });
  const auto tests = static_cast<int64_t>(test_hashes.size());
  check<DataError>(2 * known <= tests, test, ": ", known, " of ", tests,
                   " are training images as well, expected images that were held back", kAdvice);
  warn(warnings, test, known, tests, " are training images as well");
  return warnings;
}

}  // namespace fovea
