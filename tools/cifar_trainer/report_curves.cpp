#include "report_curves.h"

#include <fmt/format.h>
#include <algorithm>
#include <cmath>

#include "html.h"

namespace fovea::cli {
namespace {

constexpr size_t kMostStepPoints = 400;

std::string value_text(double value, ChartUnit unit) {
  return unit == ChartUnit::percent ? percent(value) : fmt::format("{:.4f}", value);
}

}  // namespace

std::vector<ChartPoint> epoch_points(const RunRecord& run, const std::string& column, ChartUnit unit) {
  std::vector<ChartPoint> points;
  const double steps = run.steps_per_epoch();
  for (const MetricsTexts& row : run.epochs) {
    const std::optional<double> value = number_of(row, column);
    if (!value) continue;
    points.push_back(
        {*number_of(row, "step") / steps, *value,
         fmt::format("{}: {} after epoch {}", run.name, value_text(*value, unit), value_of(row, "epoch"))});
  }
  return points;
}

std::vector<ChartPoint> step_points(const RunRecord& run, double StepPoint::*value) {
  std::vector<ChartPoint> points;
  const double steps = run.steps_per_epoch();
  const size_t every = run.steps.size() / kMostStepPoints + 1;
  for (size_t i = every - 1; i < run.steps.size(); i += every)
    points.push_back({run.steps[i].step / steps, run.steps[i].*value});
  return points;
}

std::vector<ChartPoint> rate_points(const RunRecord& run) {
  std::vector<ChartPoint> points = step_points(run, &StepPoint::learning_rate);
  const std::vector<ChartPoint> of_epochs = epoch_points(run, "learning_rate", ChartUnit::number);
  points.insert(points.end(), of_epochs.begin(), of_epochs.end());
  std::stable_sort(points.begin(), points.end(),
                   [](const ChartPoint& a, const ChartPoint& b) { return a.x < b.x; });
  return points;
}

std::string figure(const LineChart& chart) {
  const std::string drawing = draw(chart);
  if (drawing.empty()) return "";
  return fmt::format("<figure><figcaption>{}</figcaption>\n{}</figure>\n", escaped(chart.title), drawing);
}

std::string curves_of(const RunRecord& run) {
  const auto chart_of = [&](const std::string& what, const char* title, ChartUnit unit,
                            double StepPoint::*of_steps) {
    LineChart curves{.id = what, .title = title, .unit = unit};
    curves.series.push_back({.name = "",
                             .colour = 0,
                             .points = step_points(run, of_steps),
                             .has_marks = false,
                             .is_faint = true});
    curves.series.push_back(
        {.name = "train", .colour = 0, .points = epoch_points(run, "train_" + what, unit)});
    curves.series.push_back(
        {.name = run.held_out, .colour = 1, .points = epoch_points(run, run.held_out + "_" + what, unit)});
    return figure(curves);
  };
  LineChart rate{.id = "rate", .title = "Learning rate", .unit = ChartUnit::number};
  rate.series.push_back({.name = "", .colour = 2, .points = rate_points(run), .has_marks = false});
  LineChart speed{.id = "speed", .title = "Images per second", .unit = ChartUnit::number};
  speed.series.push_back({.name = "",
                          .colour = 3,
                          .points = step_points(run, &StepPoint::images_per_second),
                          .has_marks = false,
                          .is_faint = true});
  speed.series.push_back(
      {.name = "", .colour = 3, .points = epoch_points(run, "images_per_second", ChartUnit::number)});
  return chart_of("accuracy", "Accuracy", ChartUnit::percent, &StepPoint::accuracy) +
         chart_of("loss", "Loss", ChartUnit::number, &StepPoint::loss) + figure(rate) + figure(speed);
}

}  // namespace fovea::cli
