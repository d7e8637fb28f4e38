// A network of one's own around an attention module, and its training loop step by step. The loss falls from
// 2.3 to about 0.6.
#include <fovea/fovea.h>

#include <iostream>

using namespace fovea;

/// Two convolutions with an attention module between them. [N, 32, 32, 3] -> [N, classes]
class SmallNetwork : public Model {
 public:
  SmallNetwork(int64_t classes, Rng& rng)
      : stem(/*C=*/3, /*K=*/16, /*kernel=*/3, /*stride=*/2, /*padding=*/1, rng),
        attention(/*C=*/16, /*mask_depth=*/2, AttentionSettings{}, rng),
        norm1(16),
        conv(/*C=*/16, /*K=*/32, /*kernel=*/3, /*stride=*/2, /*padding=*/1, rng),
        norm2(32),
        linear(/*C=*/32, classes, rng) {}

  Variable forward(const Variable& x) override {
    Variable y = attention.forward(stem.forward(x));                  // [N, 16, 16, 16]
    y = conv.forward(norm1.forward_relu(y));                          // [N, 8, 8, 32]
    return linear.forward(F::global_average(norm2.forward_relu(y)));  // [N, classes]
  }

  void visit(Visitor& v) override {
    v("stem", stem);
    v("attention", attention);
    v("norm1", norm1);
    v("conv", conv);
    v("norm2", norm2);
    v("linear", linear);
  }

  Conv stem;
  AttentionModule attention;
  BatchNorm norm1;
  Conv conv;
  BatchNorm norm2;
  Linear linear;
};

int main() {
  constexpr int64_t kSteps = 400;
  const ImageSet images = synthetic_images(Split::train, /*count=*/2000, /*seed=*/1);
  Rng rng(/*seed=*/1);
  SmallNetwork network(images.classes(), rng);
  std::cout << parameter_count(network) << " parameters\n";

  LoaderSettings loading;
  loading.batch_size = 50;
  Loader loader(images, normalisation_of(images), loading);
  Optimiser optimiser(network, OptimiserSettings{});
  ScheduleSettings schedule;
  schedule.learning_rate = 0.2;

  for (int64_t step = 0; step < kSteps; ++step) {
    const Batch batch = loader.next();
    const Variable logits = network.forward(batch.images);
    const Variable loss = F::softmax_cross_entropy(logits, batch.labels);
    optimiser.zero_grad();
    loss.backward();
    optimiser.step(learning_rate(schedule, step, kSteps));
    if ((step + 1) % 50 == 0) {
      const int64_t correct = count_correct(logits.value(), batch.labels);
      std::cout << "step " << step + 1 << ": loss " << loss.value().item() << ", " << correct << " of "
                << batch.labels.size() << " correct\n";
    }
  }
}
