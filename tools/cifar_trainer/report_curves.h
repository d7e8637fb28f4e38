#pragma once

#include <string>
#include <vector>

#include "line_chart.h"
#include "run_record.h"

namespace fovea::cli {

/// The points of a column of metrics.csv over the epochs, which may end inside one; `title` tells the value.
std::vector<ChartPoint> epoch_points(const RunRecord& run, const std::string& column, ChartUnit unit);
/// The points of metrics.jsonl over the epochs, at most some hundred of them.
std::vector<ChartPoint> step_points(const RunRecord& run, double StepPoint::*value);
/// The learning rate over the epochs, from the steps if they are known.
std::vector<ChartPoint> rate_points(const RunRecord& run);

/// A chart in its frame; "" where it has no point.
std::string figure(const LineChart& chart);
/// Accuracy, loss and learning rate of one run.
std::string curves_of(const RunRecord& run);

}  // namespace fovea::cli
