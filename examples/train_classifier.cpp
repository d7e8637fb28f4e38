// Teaches a small Residual Attention Network ten kinds of drawn shapes: about 90% of new ones in four epochs.
#include <fovea/fovea.h>

#include <iostream>

int main() {
  const fovea::ImageSet train = fovea::synthetic_images(fovea::Split::train, /*count=*/5000, /*seed=*/1);
  const fovea::ImageSet test = fovea::synthetic_images(fovea::Split::test, /*count=*/1000, /*seed=*/1);

  fovea::ModelOptions options;
  options.classes = train.classes();
  fovea::Classifier classifier(fovea::make_model("attention-nano", options, /*seed=*/1),
                               fovea::normalisation_of(train));

  fovea::TrainingSettings settings;
  settings.epochs = 4;
  settings.batch_size = 50;
  settings.hooks.on_epoch = [](const fovea::EpochReport& report) {
    std::cout << "epoch " << report.epoch << ": loss " << report.train_loss << std::endl;
  };
  classifier.train(train, settings);

  std::cout << "test accuracy " << classifier.evaluate(test).accuracy << "\n";
  classifier.save("shapes.safetensors");
}
