#include <fmt/format.h>
#include <cstdio>
#include <exception>
#include <new>

#include "commands.h"
#include "fovea/core/check.h"
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
  if (command == "info") return info(*arguments);
  if (command == "fetch") return fetch_datasets(*arguments);
  return devices();
}

int fail(const char* message, int exit_code) {
  fmt::print(stderr, "cifar_trainer: {}\n", message);
  return exit_code;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const int exit_code = run(argc, argv);
    if (std::fflush(stdout) != 0) return fail("cannot write to standard output", 1);
    return exit_code;
  } catch (const fovea::Error& error) {
    return fail(error.what(), error.exit_code());
  } catch (const std::bad_alloc&) {
    return fail("out of memory; use a smaller --batch-size", 4);
  } catch (const std::exception& error) {
    return fail(error.what(), 1);
  }
}
