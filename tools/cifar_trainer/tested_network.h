#pragma once

#include <optional>
#include <string>

#include "fovea/data/image_set.h"
#include "fovea/training/classifier.h"
#include "progress.h"
#include "report_page.h"
#include "run_folder.h"
#include "test_predictions.h"

namespace fovea::cli {

/// What a network does on the test set.
struct TestedNetwork {
  std::optional<Evaluation> evaluation;  // none if it was stopped
  TestPredictions predictions;           // empty where the network gives numbers that are not finite
  ReportPictures pictures;
};

/// The one use of the test set: of the network that was chosen on the validation set or, without one, the
/// last, in f32, as `evaluate` has it. What a report shows of it comes of the same evaluation.
TestedNetwork test_network(const std::string& checkpoint, const ImageSet& images, const Device& device,
                           Progress& progress);

/// Writes report.html of what the folder has, and of the summary that it will have: JSON. What goes wrong is
/// only shown: the run is whole without it.
void write_run_report(const RunFolder& folder, const std::string& summary, const ReportPictures* pictures,
                      Progress& progress);

}  // namespace fovea::cli
