#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "fovea/training/training_settings.h"

namespace fovea::cli {

/// A figure of a line about how the work goes on.
struct Figure {
  std::string text;
  int importance;  // where there is too little room, those of the least go first
};
/// Those of a training step.
std::vector<Figure> figures_of(const StepReport& report, int64_t batch_size);
/// "[#####.....]  epoch 1/4  loss 2.3026  3:12 left": a bar of at least ten characters before as many figures
/// as there is room for, in `columns` characters.
std::string bar_line(double share, std::vector<Figure> figures, int columns, bool has_colour);

/// Tells on standard error how the work goes on: on a terminal a bar that is drawn over and over, otherwise,
/// and on a dumb one (TERM), a plain line every few seconds. Colours only on a terminal and without NO_COLOR,
/// which counts where it is not empty (no-color.org).
class Progress {
 public:
  Progress();
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void step(const StepReport& report, int64_t batch_size);
  void epoch(const EpochReport& report);
  /// "testing 512/10000 images", and further figures
  void count(const std::string& what, const char* unit, int64_t done, int64_t total,
             const std::vector<Figure>& further = {});
  /// A line of its own, above the bar.
  void line(const std::string& text);

 private:
  using Clock = std::chrono::steady_clock;
  bool is_due();
  void show(double share, std::vector<Figure> figures);
  void clear_bar();

  bool is_terminal_, has_colour_;
  bool has_bar_ = false;  // a bar stands in the current line
  Clock::time_point last_;
};

/// An evaluation, or a prediction, that shows in `progress`, which must outlive it, how far it is, and ends
/// when a signal asks to stop. `doing`: "testing"
EvaluationSettings shown_evaluation(Progress& progress, const char* doing, int64_t batch_size);

/// "0:07", "12:34", "1:02:03"
std::string duration_text(double seconds);

}  // namespace fovea::cli
