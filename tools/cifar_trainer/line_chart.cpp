#include "line_chart.h"

#include <fmt/format.h>
#include <algorithm>
#include <cmath>
#include <limits>

#include "html.h"

namespace fovea::cli {
namespace {

// The drawing's units are pixels where it is as wide as on a desktop.
constexpr double kWidth = 520, kHeight = 300, kTop = 14, kBottom = 42, kLeft = 54;
constexpr double kLetter = 8.2, kLeastRight = 24, kMostRight = 190;  // a letter's width; room for names
constexpr double kNameHeight = 15;
constexpr double kFew = 4;  // of epochs: no ticks between them
constexpr size_t kMostNameLetters = 24;

struct Range {
  double least = std::numeric_limits<double>::infinity(), greatest = -least;
  void add(double value) {
    least = std::min(least, value);
    greatest = std::max(greatest, value);
  }
};

bool is_finite(const ChartPoint& point) {
  return std::isfinite(point.x) && std::isfinite(point.y);
}

/// A distance between ticks, or what leads to it.
double nice_step(double span, int count) {
  const double raw = span / count, power = std::pow(10, std::floor(std::log10(raw)));
  for (const double factor : {1.0, 2.0, 2.5, 5.0}) {
    if (factor * power >= raw * (1 - 1e-9)) return factor * power;
  }
  return 10 * power;
}

std::string tick_text(double value, double step, ChartUnit unit) {
  const double scale = unit == ChartUnit::percent ? 100 : 1;
  const double shown = std::abs(value) < step * 1e-6 ? 0 : value * scale;
  int digits = 0;
  while (digits < 6 && std::abs(std::round(step * scale * std::pow(10, digits)) -
                                step * scale * std::pow(10, digits)) > 1e-6) {
    ++digits;
  }
  if (unit == ChartUnit::percent) return fmt::format("{:.{}f}%", shown, digits);
  return digits < 6 ? fmt::format("{:.{}f}", shown, digits) : fmt::format("{:.3g}", shown);
}

std::string shortened(const std::string& name) {
  if (name.size() <= kMostNameLetters) return name;
  return name.substr(0, kMostNameLetters / 2 - 1) + ".." +
         name.substr(name.size() - kMostNameLetters / 2 + 1);
}

struct Name {
  double x, y;
  int colour;
  std::string text;
};

/// Moves names apart that would stand on each other, within the drawing.
void spread(std::vector<Name>& names, double bottom) {
  std::stable_sort(names.begin(), names.end(), [](const Name& a, const Name& b) { return a.y < b.y; });
  const auto collide = [](const Name& a, const Name& b) {
    const auto end = [](const Name& name) {
      return name.x + kLetter * static_cast<double>(name.text.size());
    };
    return a.x < end(b) && b.x < end(a);
  };
  for (size_t i = 1; i < names.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      if (collide(names[i], names[j])) names[i].y = std::max(names[i].y, names[j].y + kNameHeight);
    }
  }
  for (size_t i = names.size(); i-- > 0;) {
    names[i].y = std::min(names[i].y, bottom);
    for (size_t j = i + 1; j < names.size(); ++j) {
      if (collide(names[i], names[j])) names[i].y = std::min(names[i].y, names[j].y - kNameHeight);
    }
  }
}

class Drawing {
 public:
  Drawing(const LineChart& chart, const Range& x, const Range& y) : chart_(chart) {
    size_t letters = 0;
    for (const ChartSeries& series : chart.series) letters = std::max(letters, shortened(series.name).size());
    right_ = std::clamp(kLetter * static_cast<double>(letters) + 14, kLeastRight, kMostRight);
    y_ticks_ = nice_ticks(y.least, y.greatest, 5);
    x_ticks_ = nice_ticks(x.least, x.greatest, x.greatest - x.least < kFew ? 3 : 6);
    x_ = x;
    std::erase_if(x_ticks_, [&](double tick) {
      const double slack = 1e-9 * (x.greatest - x.least);
      return tick < x.least - slack || tick > x.greatest + slack;
    });
  }

  std::string text() {
    out_ = fmt::format(
        R"(<svg class="chart" viewBox="0 0 {} {}" role="img" aria-labelledby="{}-title {}-text">)"
        "<title id=\"{}-title\">{}</title><desc id=\"{}-text\">{}</desc>\n",
        kWidth, kHeight, chart_.id, chart_.id, chart_.id, escaped(chart_.title), chart_.id, description());
    axes();
    for (const bool is_faint : {true, false}) {
      for (const ChartSeries& series : chart_.series) {
        if (series.is_faint == is_faint) line(series);
      }
    }
    names();
    return out_ + "</svg>\n";
  }

 private:
  double x_of(double x) const {
    return kLeft + (x - x_.least) / (x_.greatest - x_.least) * (kWidth - kLeft - right_);
  }
  double y_of(double y) const {
    const double least = y_ticks_.front(), greatest = y_ticks_.back();
    return kHeight - kBottom - (y - least) / (greatest - least) * (kHeight - kTop - kBottom);
  }

  /// What somebody gets told who does not see the lines: where they begin and end.
  std::string description() const {
    std::string text;
    const double step = (y_ticks_[1] - y_ticks_[0]) / 100;
    for (const ChartSeries& series : chart_.series) {
      std::vector<ChartPoint> points = series.points;
      std::erase_if(points, [](const ChartPoint& point) { return !is_finite(point); });
      if (series.name.empty() || points.empty()) continue;
      text += fmt::format("{}{}: from {} to {}", text.empty() ? "" : "; ", escaped(series.name),
                          tick_text(points.front().y, step, chart_.unit),
                          tick_text(points.back().y, step, chart_.unit));
    }
    return text;
  }

  void axes() {
    for (const double tick : y_ticks_) {
      out_ += fmt::format(R"(<line class="grid" x1="{:.1f}" x2="{:.1f}" y1="{:.1f}" y2="{:.1f}"/>)"
                          "<text class=\"tick\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>\n",
                          kLeft, kWidth - right_, y_of(tick), y_of(tick), kLeft - 8, y_of(tick) + 4,
                          tick_text(tick, y_ticks_[1] - y_ticks_[0], chart_.unit));
    }
    const double step = x_ticks_.size() > 1 ? x_ticks_[1] - x_ticks_[0] : 1;
    for (const double tick : x_ticks_) {
      out_ += fmt::format("<text class=\"tick\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{}</text>\n",
                          x_of(tick), kHeight - kBottom + 17, tick_text(tick, step, ChartUnit::number));
    }
    out_ += fmt::format("<text class=\"axis\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{}</text>\n",
                        (kLeft + kWidth - right_) / 2, kHeight - 8, escaped(chart_.x_name));
  }

  void line(const ChartSeries& series) {
    std::string path, marks;
    for (const ChartPoint& point : series.points) {
      if (!is_finite(point)) continue;
      path += fmt::format("{}{:.1f},{:.1f}", path.empty() ? "" : " ", x_of(point.x), y_of(point.y));
      if (!series.has_marks) continue;
      marks +=
          fmt::format(R"(<circle cx="{:.1f}" cy="{:.1f}" r="{}"><title>{}</title></circle>)", x_of(point.x),
                      y_of(point.y), series.points.size() > 40 ? 2 : 3.2, escaped(point.title));
    }
    if (path.empty()) return;
    out_ += fmt::format("<g class=\"s{}{}\"><polyline points=\"{}\"/>{}</g>\n", series.colour % kChartColours,
                        series.is_faint ? " faint" : "", path, marks);
  }

  void names() {
    std::vector<Name> names;
    for (const ChartSeries& series : chart_.series) {
      const auto last = std::find_if(series.points.rbegin(), series.points.rend(), is_finite);
      if (series.name.empty() || last == series.points.rend()) continue;
      names.push_back({x_of(last->x) + 8, y_of(last->y) + 4, series.colour, shortened(series.name)});
    }
    spread(names, kHeight - kBottom + 4);
    for (const Name& name : names) {
      out_ += fmt::format("<text class=\"name n{}\" x=\"{:.1f}\" y=\"{:.1f}\">{}</text>\n",
                          name.colour % kChartColours, name.x, name.y, escaped(name.text));
    }
  }

  const LineChart& chart_;
  Range x_;
  double right_ = 0;
  std::vector<double> x_ticks_, y_ticks_;
  std::string out_;
};

}  // namespace

std::vector<double> nice_ticks(double least, double greatest, int count) {
  if (!(greatest > least)) {  // around a single value
    const double around = least == 0 ? 1 : std::abs(least) / 2;
    least -= around;
    greatest += around;
  }
  const double step = nice_step(greatest - least, count);
  const double first = std::floor(least / step + 1e-9), last = std::ceil(greatest / step - 1e-9);
  std::vector<double> ticks;
  for (double i = first; i <= last; ++i) ticks.push_back(i * step);
  return ticks;
}

std::string draw(const LineChart& chart) {
  Range x, y;
  for (const ChartSeries& series : chart.series) {
    for (const ChartPoint& point : series.points) {
      if (!is_finite(point)) continue;
      x.add(point.x);
      y.add(point.y);
    }
  }
  if (x.least > x.greatest) return "";
  x.least = std::min(x.least, 0.0);
  if (x.greatest <= x.least) x.greatest = x.least + 1;
  return Drawing(chart, x, y).text();
}

}  // namespace fovea::cli
