#include "progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "output.h"

namespace fovea::cli {
namespace {

using namespace std::chrono_literals;
constexpr auto kBarInterval = 100ms;
constexpr auto kLineInterval = 5s;

int terminal_width() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

std::string validation_text(const std::optional<Evaluation>& validation) {
  if (!validation) return "";
  return fmt::format("  test loss {:.4f}  accuracy {:.2f}%", validation->loss, 100 * validation->accuracy);
}

}  // namespace

Progress::Progress()
    : is_terminal_(isatty(STDERR_FILENO) == 1),
      has_colour_(is_terminal_ && std::getenv("NO_COLOR") == nullptr),
      last_(Clock::now() - kLineInterval) {}

Progress::~Progress() {
  clear_bar();
}

void Progress::step(const StepReport& report, int64_t batch_size) {
  if (!is_due()) return;
  const double images_left = static_cast<double>((report.steps - report.step) * batch_size);
  const std::string left =
      report.images_per_second > 0 ? duration_text(images_left / report.images_per_second) : "?";
  const std::string figures =
      fmt::format("loss {:.4f}  accuracy {:.2f}%  {:.0f} images/s  {} left", report.epoch_loss,
                  100 * report.epoch_accuracy, report.images_per_second, left);
  show(static_cast<double>(report.batch) / static_cast<double>(report.batches),
       fmt::format("epoch {}/{}  step {}/{}", report.epoch, report.epochs, report.step, report.steps),
       figures);
}

void Progress::count(const std::string& what, const char* unit, int64_t done, int64_t total) {
  if (!is_due()) return;
  show(static_cast<double>(done) / static_cast<double>(std::max<int64_t>(total, 1)), what,
       fmt::format("{}/{} {}", done, total, unit));
}

void Progress::epoch(const EpochReport& report) {
  line(fmt::format("epoch {}/{}  step {}  loss {:.4f}  accuracy {:.2f}%{}  {:.0f} images/s{}", report.epoch,
                   report.epochs, report.step, report.train_loss, 100 * report.train_accuracy,
                   validation_text(report.validation), report.images_per_second,
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

void Progress::show(double share, const std::string& head, const std::string& figures) {
  std::string text = head + "  " + figures;
  if (!is_terminal_) return line(text);
  const int columns = terminal_width() - 1;
  text.resize(std::min(text.size(), static_cast<size_t>(columns)));
  const int width = std::min(columns - static_cast<int>(text.size()) - 4, 40);  // 4: brackets and spaces
  std::string bar;
  if (width >= 5) {
    const int filled = static_cast<int>(std::lround(std::clamp(share, 0.0, 1.0) * width));
    bar = fmt::format("[{:#>{}}{:.>{}}]  ", "", filled, "", width - filled);
    if (has_colour_) bar = fmt::format("\x1b[36m{}\x1b[0m", bar);
  }
  cli::show(fmt::format("\r{}{}\x1b[K", bar, text));
  has_bar_ = true;
}

void Progress::clear_bar() {
  if (has_bar_) cli::show("\r\x1b[K");
  has_bar_ = false;
}

std::string duration_text(double seconds) {
  const auto whole = static_cast<int64_t>(std::lround(std::clamp(seconds, 0.0, 1e9)));
  const int64_t hours = whole / 3600, minutes = whole / 60 % 60;
  if (hours > 0) return fmt::format("{}:{:02}:{:02}", hours, minutes, whole % 60);
  return fmt::format("{}:{:02}", minutes, whole % 60);
}

}  // namespace fovea::cli
