#pragma once

#include <string>
#include <vector>

namespace fovea::cli {

struct ChartPoint {
  double x = 0, y = 0;
  std::string title{};  // shown where a pointer rests on it
};

/// A line of a chart. Points that are not finite are left out.
struct ChartSeries {
  std::string name;  // at the end of the line; "": none
  int colour = 0;    // of the page's, see report_style.h
  std::vector<ChartPoint> points{};
  bool has_marks = true;  // a dot on each point, with its title
  bool is_faint = false;  // thinner, and behind the others
};

/// How the numbers at the y axis are written.
enum class ChartUnit { number, percent };

struct LineChart {
  std::string id;     // of the page's parts, letters alone
  std::string title;  // "Accuracy"
  std::string x_name = "epoch";
  ChartUnit unit = ChartUnit::number;
  std::vector<ChartSeries> series{};
};

constexpr int kChartColours = 8;

/// About `count` round numbers, evenly spaced, from the last at or below `least` to the first at or above
/// `greatest`: multiples of 1, 2, 2.5 or 5 times a power of ten.
std::vector<double> nice_ticks(double least, double greatest, int count);

/// The chart as SVG that stands inside a page, with its lines named where they end. "": there is no point.
std::string draw(const LineChart& chart);

}  // namespace fovea::cli
