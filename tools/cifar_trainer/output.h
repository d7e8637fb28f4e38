#pragma once

#include <fmt/format.h>
#include <string>
#include <string_view>
#include <utility>

namespace fovea::cli {

/// To be called first. Standard streams that are closed become ones that refuse what is written, so that no
/// file of a run gets their number and then their text; a closed pipe and a file at its greatest size
/// (ulimit -f) are failed writes instead of the end.
void prepare_output();

/// Writes to standard error what only tells how the work goes. Never fails: a terminal, pipe or log that is
/// gone or full must not end the work.
void show(std::string_view text) noexcept;

/// While one lives, show writes nothing.
class QuietScope {
 public:
  QuietScope();
  ~QuietScope();
  QuietScope(const QuietScope&) = delete;
  QuietScope& operator=(const QuietScope&) = delete;
};

/// `printable` of a text, with line feeds and tabs spelt out as \x0a and \x09: for a cell of a table or a
/// line of its own, which the name of a file must not break.
std::string on_one_line(std::string_view text);

/// Whether standard output is a terminal, at which somebody reads.
bool output_is_terminal() noexcept;
/// Writes a part of the result to standard output. A failure is kept for finish_output.
void write_output(std::string_view text) noexcept;
/// write_output of a formatted text.
template <class... Arguments>
void print(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
  write_output(fmt::format(format, std::forward<Arguments>(arguments)...));
}

/// Writes what is left in the buffer of standard output; the exit code of the program. That is `exit_code`,
/// or 1 where it is 0 and the result could not be written. A reader that has closed its pipe has had enough,
/// which is no failure.
int finish_output(int exit_code) noexcept;

}  // namespace fovea::cli
