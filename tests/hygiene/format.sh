#!/usr/bin/env bash
# Checks that every source file is as clang-format leaves it.
# usage: format.sh SOURCE_FOLDER CLANG_FORMAT
set -euo pipefail
cd "$1"

mapfile -t files < <(find core kernels layers models data training tests benchmarks tools examples \
  \( -name '*.h' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh' \) -type f 2>/dev/null | sort)
[ "${#files[@]}" -gt 0 ] || { echo "format: no source files under $1" >&2; exit 1; }

if ! log=$("$2" --dry-run --Werror "${files[@]}" 2>&1); then
  echo "format: not as clang-format -i leaves them:" >&2
  grep -E '^[^ ]+:[0-9]+:[0-9]+: ' <<<"$log" | cut -d: -f1 | sort -u >&2
  exit 1
fi
echo "format: ${#files[@]} files"
