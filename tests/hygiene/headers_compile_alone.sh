#!/usr/bin/env bash
# Compiles every public header alone, twice included, without any third party's include folder or flag.
# usage: headers_compile_alone.sh COMPILER INCLUDE_FOLDER HEADER...
set -euo pipefail
export compiler=$1 include=$2
shift 2

compile() {
  printf '#include "fovea/%s"\n#include "fovea/%s"\n' "$1" "$1" |
    "$compiler" -std=c++20 -fsyntax-only -Wall -Wextra -Wconversion -Wshadow -Werror -I "$include" -x c++ - ||
    { echo "headers_compile_alone: $1 does not compile alone" >&2; return 1; }
}
export -f compile

printf '%s\0' "$@" | xargs -0 -n 1 -P "$(nproc)" bash -c 'compile "$1"' bash
echo "headers_compile_alone: $# headers"
