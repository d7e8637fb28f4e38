#include "fovea/models/preact_resnet.h"

#include <algorithm>

namespace fovea {
namespace {

PreActResNetSettings checked(const PreActResNetSettings& s) {
  check<UsageError>(s.classes >= 1 && s.units >= 1 && !s.channels.empty(), "PreActResNet: ", s.classes,
                    " classes, ", s.units, " units in each of ", s.channels.size(),
                    " stages; wanted at least 1 each");
  const int64_t smallest = smallest_input(s);
  check<UsageError>(s.input_size >= smallest, "PreActResNet: input size ", s.input_size, " is too small for ",
                    s.channels.size(), " stages; the smallest is ", smallest);
  return s;
}

std::vector<Sequential<ResidualUnit>> make_stages(const PreActResNetSettings& s, Rng& rng) {
  std::vector<Sequential<ResidualUnit>> stages;
  int64_t C = s.stem;
  for (const int64_t K : s.channels) {
    Sequential<ResidualUnit> stage;
    stage.add(ResidualUnit(C, K, stages.empty() ? 1 : 2, rng));
    for (int64_t i = 1; i < s.units; ++i) stage.add(ResidualUnit(K, K, /*stride=*/1, rng));
    stages.push_back(std::move(stage));
    C = K;
  }
  return stages;
}

}  // namespace

int64_t smallest_input(const PreActResNetSettings& s) {
  return s.channels.size() < 2 ? 1 : (int64_t{1} << (s.channels.size() - 2)) + 1;
}

PreActResNet::PreActResNet(const PreActResNetSettings& s, uint64_t seed)
    : PreActResNet(checked(s), Rng(seed)) {}

PreActResNet::PreActResNet(const PreActResNetSettings& s, Rng rng)
    : settings(s),
      stem(/*C=*/3, settings.stem, /*kernel=*/3, /*stride=*/1, /*padding=*/1, rng),
      stages(make_stages(settings, rng)),
      norm(settings.channels.back()),
      linear(settings.channels.back(), settings.classes, rng) {}

Variable PreActResNet::forward(const Variable& x) {
  check(x.shape().rank() == 4 && x.shape(3) == 3, "PreActResNet: input is ", x.shape(),
        ", wanted [N, H, W, 3]");
  const int64_t H = x.shape(1), W = x.shape(2), smallest = smallest_input(settings);
  check<UsageError>(std::min(H, W) >= smallest, "PreActResNet: images of ", H, "x", W, " are too small for ",
                    stages.size(), " stages; the smallest is ", smallest, "x", smallest);

  Variable y = stem.forward(x);
  for (Sequential<ResidualUnit>& stage : stages) y = stage.forward(y);  // [N, H', W', C]
  return linear.forward(F::global_average(norm.forward_relu(y)));       // [N, classes]
}

void PreActResNet::visit(Visitor& v) {
  v("stem", stem);
  v("stages", stages);
  v("norm", norm);
  v("linear", linear);
}

}  // namespace fovea
