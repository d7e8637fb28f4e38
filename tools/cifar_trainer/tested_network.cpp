#include "tested_network.h"

#include "fovea/core/check.h"
#include "setup.h"

namespace fovea::cli {

TestedNetwork test_network(const std::string& checkpoint, const ImageSet& images, const Device& device,
                           Progress& progress) {
  const Classifier classifier = load_classifier(read_checkpoint(checkpoint), device, Precision::f32);
  TestedNetwork tested;
  EvaluationSettings settings = shown_evaluation(progress, "testing", evaluation_batch(device));
  settings.on_logits = [&](int64_t, const Tensor& logits) { tested.predictions.add(logits, images.labels); };
  const Evaluation evaluation = classifier.evaluate(images, settings);
  if (!evaluation.is_finite() || evaluation.images != images.size()) tested.predictions = {};
  if (evaluation.images != images.size()) return tested;
  tested.evaluation = evaluation;
  if (evaluation.is_finite()) tested.pictures = report_pictures(classifier, images, tested.predictions);
  return tested;
}

void write_run_report(const RunFolder& folder, const std::string& summary, const ReportPictures* pictures,
                      Progress& progress) {
  try {
    folder.write_report(report_page(read_run(folder.path(), summary), pictures));
  } catch (const Error& error) {
    progress.line(std::string("no report was written: ") + error.what());
  }
}

}  // namespace fovea::cli
