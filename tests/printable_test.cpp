#include "fovea/core/printable.h"

#include <catch2/catch.hpp>

namespace fovea {
namespace {

TEST_CASE("printable: what a terminal would act upon, and what is no UTF-8, is spelt out") {
  CHECK(printable("conv1.weight caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\n\t") ==
        "conv1.weight caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\n\t");
  CHECK(printable("\x1b[31mred\a") == "\\x1b[31mred\\x07");
  CHECK(printable("\x7f\xc2\x9b") == "\\x7f\\u{009b}");  // the second begins a command as ESC [ does
  CHECK(printable("a\xe2\x80\xae"
                  "b") == "a\\u{202e}b");  // from right to left
  CHECK(printable(std::string_view("\0\r", 2)) == "\\x00\\x0d");
}

TEST_CASE("printable: every kind of broken UTF-8") {
  CHECK(printable("\xff\xc3") == "\\xff\\xc3");
  CHECK(printable("\xc0\x80") == "\\xc0\\x80");                    // longer than need be
  CHECK(printable("\xed\xa0\x80") == "\\xed\\xa0\\x80");           // half a pair
  CHECK(printable("\xf4\x90\x80\x80") == "\\xf4\\x90\\x80\\x80");  // beyond the last
  CHECK(printable("\xe2\x82") == "\\xe2\\x82");                    // cut off
  CHECK(printable("\xe2\x82x") == "\\xe2\\x82x");
}

TEST_CASE("printable: in quotes, on one line, and cut between characters") {
  CHECK(in_quotes("a\"b\\c\n") == R"("a\"b\\c\x0a")");
  CHECK(in_quotes(std::string(100, 'x')) == '"' + std::string(100, 'x') + '"');
  CHECK(in_quotes(std::string(1000, 'x')) == '"' + std::string(100, 'x') + "\"... (1000 bytes)");
  CHECK(in_quotes("ab\xc3\xa9"
                  "c",
                  3) == "\"ab\xc3\xa9\"... (5 bytes)");
  CHECK(in_quotes("") == "\"\"");
}

}  // namespace
}  // namespace fovea
