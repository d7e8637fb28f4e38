#include "progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <algorithm>
#include <cmath>
#include <utility>

#include "fovea/core/environment.h"
#include "output.h"
#include "signals.h"

namespace fovea::cli {
namespace {

using namespace std::chrono_literals;
constexpr auto kBarInterval = 100ms;
constexpr auto kLineInterval = 5s;

int terminal_width() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

// Whether standard error is a terminal on which a line can be drawn over.
bool is_able_terminal() {
  const std::string kind = environment("TERM");
  return isatty(STDERR_FILENO) == 1 && !kind.empty() && kind != "dumb";
}

std::string evaluation_text(const std::optional<Evaluation>& evaluation) {
  if (!evaluation) return "";
  return fmt::format("  validation loss {:.4f}  accuracy {:.2f}%", evaluation->loss,
                     100 * evaluation->accuracy);
}

constexpr const char* kGap = "  ";

std::string joined(const std::vector<Figure>& figures) {
  std::string text;
  for (const Figure& figure : figures) text += (text.empty() ? "" : kGap) + figure.text;
  return text;
}

}  // namespace

std::vector<Figure> figures_of(const StepReport& report, int64_t batch_size) {
  const double images_left = static_cast<double>((report.steps - report.step) * batch_size);
  const std::string left =
      report.images_per_second > 0 ? duration_text(images_left / report.images_per_second) : "?";
  return {{fmt::format("epoch {}/{}", report.epoch, report.epochs), 5},
          {fmt::format("step {}/{}", report.step, report.steps), 0},
          {fmt::format("loss {:.4f}", report.epoch_loss), 3},
          {fmt::format("accuracy {:.2f}%", 100 * report.epoch_accuracy), 2},
          {fmt::format("{:.0f} images/s", report.images_per_second), 1},
          {left + " left", 4}};
}

std::string bar_line(double share, std::vector<Figure> figures, int columns, bool has_colour) {
  constexpr int kLeast = 10, kMost = 40, kAround = 4;  // 4: brackets and spaces
  const auto room = [&] { return columns - static_cast<int>(joined(figures).size()) - kAround; };
  while (figures.size() > 1 && room() < kLeast) {
    figures.erase(std::min_element(figures.begin(), figures.end(), [](const Figure& a, const Figure& b) {
      return a.importance < b.importance;
    }));
  }
  const int width = std::min(room(), kMost);
  if (width < kLeast) return joined(figures).substr(0, static_cast<size_t>(std::max(columns, 0)));
  const int filled = static_cast<int>(std::lround(std::clamp(share, 0.0, 1.0) * width));
  const std::string bar = fmt::format("[{:#>{}}{:.>{}}]", "", filled, "", width - filled);
  return (has_colour ? fmt::format("\x1b[36m{}\x1b[0m", bar) : bar) + kGap + joined(figures);
}

Progress::Progress()
    : is_terminal_(is_able_terminal()),
      has_colour_(is_terminal_ && environment("NO_COLOR").empty()),
      last_(Clock::now() - kLineInterval) {}

Progress::~Progress() {
  clear_bar();
}

void Progress::step(const StepReport& report, int64_t batch_size) {
  if (!is_due()) return;
  show(static_cast<double>(report.batch) / static_cast<double>(report.batches),
       figures_of(report, batch_size));
}

void Progress::count(const std::string& what, const char* unit, int64_t done, int64_t total,
                     const std::vector<Figure>& further) {
  if (!is_due()) return;
  std::vector<Figure> figures{{what, 2}, {fmt::format("{}/{} {}", done, total, unit), 1}};
  figures.insert(figures.end(), further.begin(), further.end());
  show(static_cast<double>(done) / static_cast<double>(std::max<int64_t>(total, 1)), std::move(figures));
}

void Progress::epoch(const EpochReport& report) {
  line(fmt::format("epoch {}/{}  step {}  loss {:.4f}  accuracy {:.2f}%{}  {:.0f} images/s{}", report.epoch,
                   report.epochs, report.step, report.train_loss, 100 * report.train_accuracy,
                   evaluation_text(report.evaluation), report.images_per_second,
                   report.is_best ? "  best" : ""));
}

void Progress::line(const std::string& text) {
  clear_bar();
  cli::show(text + "\n");
}

bool Progress::is_due() {
  const auto now = Clock::now();
  if (now - last_ < (is_terminal_ ? Clock::duration(kBarInterval) : Clock::duration(kLineInterval)))
    return false;
  last_ = now;
  return true;
}

void Progress::show(double share, std::vector<Figure> figures) {
  if (!is_terminal_) return line(joined(figures));
  cli::show("\r" + bar_line(share, std::move(figures), terminal_width() - 1, has_colour_) + "\x1b[K");
  has_bar_ = true;
}

void Progress::clear_bar() {
  if (has_bar_) cli::show("\r\x1b[K");
  has_bar_ = false;
}

EvaluationSettings shown_evaluation(Progress& progress, const char* doing, int64_t batch_size) {
  return {.batch_size = batch_size,
          .on_batch = [&progress, doing](int64_t done,
                                         int64_t total) { progress.count(doing, "images", done, total); },
          .should_stop = should_stop,
          .should_interrupt = should_stop};
}

std::string duration_text(double seconds) {
  const auto whole = static_cast<int64_t>(std::lround(std::clamp(seconds, 0.0, 1e9)));
  const int64_t hours = whole / 3600, minutes = whole / 60 % 60;
  if (hours > 0) return fmt::format("{}:{:02}:{:02}", hours, minutes, whole % 60);
  return fmt::format("{}:{:02}", minutes, whole % 60);
}

}  // namespace fovea::cli
