#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#pragma GCC visibility push(default)
namespace fovea {

/// A text that comes from a file or a command line, so that a terminal or a log can show it: what is no valid
/// UTF-8, control characters other than line feed and tab, and marks that turn the direction of text around
/// become \xNN and \u{NNNN}. Cut to about `most` bytes.
std::string printable(std::string_view text, size_t most = std::string_view::npos);

/// A printable text in quotation marks, on one line, and cut to about `most` bytes: "conv1.weight".
std::string in_quotes(std::string_view text, size_t most = 100);

/// How many bytes the UTF-8 character at the begin of `text` has; 0: there is no valid one.
size_t utf8_length(std::string_view text);

}  // namespace fovea
#pragma GCC visibility pop
