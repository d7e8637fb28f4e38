#include "train_step.h"

#include "fovea/core/check.h"
#include "fovea/core/random.h"
#include "fovea/layers/functional.h"
#include "fovea/models/zoo.h"

namespace fovea::bench {

StepTimer::StepTimer(const std::string& model, int64_t batch, bool training)
    : model_(make_model(model, {}, /*seed=*/1)), labels_(Tensor::zeros({batch}, Dtype::i32)) {
  const int64_t H = model_input_size(model);
  images_ = normal({batch, H, H, 3}, Random(1, Purpose::test));
  Random random(2, Purpose::test);
  for (int64_t n = 0; n < batch; ++n) labels_.data<int32_t>()[n] = static_cast<int32_t>(random.below(10));
  model_->train(training);
  if (training) optimiser_ = std::make_unique<Optimiser>(*model_, OptimiserSettings{});
}

double StepTimer::run() {
  if (!optimiser_) {
    const NoGrad no_grad;
    return model_->forward(images_).value().data<float>()[0];
  }
  optimiser_->zero_grad();
  const Variable loss = F::softmax_cross_entropy(model_->forward(images_), labels_);
  loss.backward();
  optimiser_->step(/*learning_rate=*/0.01);
  return loss.value().item();
}

}  // namespace fovea::bench
