// What is shown about how the work goes on: the line, its bar, and what a terminal must be able to do for it.
#include "progress.h"

#include <sys/ioctl.h>

#include <catch2/catch.hpp>

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
  Words all = command(words);
  std::vector<char*> arguments;
  for (std::string& word : all) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  const int terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  REQUIRE((terminal >= 0 && grantpt(terminal) == 0 && unlockpt(terminal) == 0));
  const winsize size{.ws_row = 24, .ws_col = 80, .ws_xpixel = 0, .ws_ypixel = 0};
  REQUIRE(ioctl(terminal, TIOCSWINSZ, &size) == 0);
  const std::string name = ptsname(terminal);
  const pid_t process = fork();
  if (process == 0) {
    dup2(open(name.c_str(), O_RDWR | O_NOCTTY), STDERR_FILENO);
    execv(arguments[0], arguments.data());
    _exit(127);
  }
  REQUIRE(process > 0);
  std::string text;
  char bytes[4096];
  int status = 0;
  bool has_ended = false;
  while (true) {
    // The end of the program is seen before its last bytes: they are read once more after it.
    fcntl(terminal, F_SETFL, O_NONBLOCK);
    const ssize_t count = read(terminal, bytes, sizeof bytes);
    if (count > 0) {
      text.append(bytes, static_cast<size_t>(count));
    } else if (has_ended) {
      break;
    } else {
      has_ended = waitpid(process, &status, WNOHANG) == process;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  }
  close(terminal);
  INFO(text);
  CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 0));
  return text;
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
