#include <exception>
#include <new>

#include "commands.h"
#include "fovea/core/check.h"
#include "fovea/core/printable.h"
#include "output.h"
#include "signals.h"

namespace {

int run(int argc, char** argv) {
  using namespace fovea::cli;
  const auto arguments = parse_command_line(argc, argv);
  if (!arguments) return 0;
  handle_signals();
  const std::string& command = arguments->command;
  if (command == "train") return train(*arguments);
  if (command == "evaluate") return evaluate(*arguments);
  if (command == "predict") return predict(*arguments);
  if (command == "attend") return attend(*arguments);
  if (command == "info") return info(*arguments);
  if (command == "fetch") return fetch_datasets(*arguments);
  return devices();
}

// Whether or not the message can be shown, the exit code is the error's.
int fail(const char* message, int exit_code) {
  using namespace fovea::cli;
  show("cifar_trainer: ");
  show(message);
  show("\n");
  return finish_output(exit_code);
}

}  // namespace

int main(int argc, char** argv) {
  fovea::cli::prepare_output();
  try {
    return fovea::cli::finish_output(run(argc, argv));
  } catch (const fovea::Error& error) {
    return fail(error.what(), error.exit_code());
  } catch (const std::bad_alloc&) {
    return fail("out of memory; use a smaller --batch-size", 4);
  } catch (const std::exception& error) {
    return fail(fovea::printable(error.what()).c_str(), 1);
  }
}
