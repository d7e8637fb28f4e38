#pragma once

#include <chrono>
#include <string>

#include "fovea/training/classifier.h"

namespace fovea::cli {

/// Tells on standard error how the work goes on: on a terminal a bar that is drawn over and over, otherwise a
/// plain line every few seconds. Colours only on a terminal and without NO_COLOR.
class Progress {
 public:
  Progress();
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void step(const StepReport& report, int64_t batch_size);
  void epoch(const EpochReport& report);
  /// "testing 512/10000 images"
  void count(const std::string& what, const char* unit, int64_t done, int64_t total);
  /// A line of its own, above the bar.
  void line(const std::string& text);

 private:
  using Clock = std::chrono::steady_clock;
  bool is_due();
  void show(double share, const std::string& head, const std::string& figures);
  void clear_bar();

  bool is_terminal_, has_colour_;
  bool has_bar_ = false;  // a bar stands in the current line
  Clock::time_point last_;
};

/// "0:07", "12:34", "1:02:03"
std::string duration_text(double seconds);

}  // namespace fovea::cli
