// What is shown about how the work goes on: the line, its bar, and what a terminal must be able to do for it.
#include "progress.h"

#include <catch2/catch.hpp>

#include "terminal_program.h"
#include "trainer_program.h"

using namespace fovea;
using namespace fovea::cli;
using Catch::Contains;

namespace {

StepReport report() {
  return {.step = 12345,
          .steps = 46890,
          .epoch = 31,
          .epochs = 120,
          .batch = 195,
          .batches = 390,
          .loss = 1,
          .epoch_loss = 0.12344,
          .epoch_accuracy = 0.9567,
          .learning_rate = 0.1,
          .images_per_second = 1234};
}

// What the program writes to a terminal of 80 columns, where a variable has a value.
std::string on_terminal(const Words& words, const char* variable, const char* value) {
  const ScopedVariable term("TERM", "xterm"), no_colour("NO_COLOR", nullptr), changed(variable, value);
  return TerminalProgram(command(words), {STDERR_FILENO}).text();
}

}  // namespace

TEST_CASE("progress: a line of 80 columns has a bar, and what matters most") {
  const std::string line = bar_line(0.5, figures_of(report(), 128), 79, /*has_colour=*/false);
  CHECK(line.size() <= 79);
  CHECK_THAT(line, Contains("[#####") && Contains(".....]"));
  CHECK_THAT(line, Contains("epoch 31/120") && Contains("loss 0.1234") && Contains("  59:43 left"));
  const std::string wide = bar_line(0.5, figures_of(report(), 128), 139, /*has_colour=*/true);
  CHECK_THAT(wide, Contains("step 12345/46890") && Contains("accuracy 95.67%") && Contains("1234 images/s"));
  CHECK_THAT(wide, Contains("\x1b[36m[") && Contains("]\x1b[0m  epoch"));
  CHECK(wide.size() <= 139 + 9);  // the colour takes no room
}

TEST_CASE("progress: a line never is longer than the terminal is wide") {
  for (int columns = 0; columns < 200; ++columns) {
    INFO(columns);
    for (const double share : {-1.0, 0.0, 0.5, 1.0, 2.0}) {
      const std::string line = bar_line(share, figures_of(report(), 128), columns, /*has_colour=*/false);
      CHECK(std::ssize(line) <= columns);
      if (columns >= 40) CHECK(line[0] == '[');
      if (columns >= 12) CHECK_THAT(line, Contains("epoch 31/120"));
    }
  }
  CHECK(bar_line(0, {}, 80, false).size() <= 80);
}

TEST_CASE("progress: escapes only where the terminal knows them and colours are wanted") {
  const TemporaryFolder folder;
  const Words words = short_run(folder / "run", {"--max-steps", "2", "--overwrite"});
  const std::string able = on_terminal(words, "NO_COLOR", nullptr);
  CHECK_THAT(able, Contains("\x1b[36m[") && Contains("\x1b[K"));
  CHECK_THAT(on_terminal(words, "NO_COLOR", ""), Contains("\x1b[36m["));
  CHECK_THAT(on_terminal(words, "NO_COLOR", "1"), !Contains("\x1b[36m") && Contains("[K"));
  for (const char* kind : {"dumb", static_cast<const char*>(nullptr)}) {
    const std::string plain = on_terminal(words, "TERM", kind);
    CHECK_THAT(plain, !Contains("\x1b") && Contains("step 1/2") && Contains("left"));
  }
}
