#!/usr/bin/env bash
# Checks that every source file is as clang-format leaves it.
# usage: format.sh SOURCE_FOLDER CLANG_FORMAT
set -euo pipefail
cd "$1"

offences=0
files=0
while IFS= read -r file; do
  files=$((files + 1))
  if ! "$2" --dry-run --Werror "$file" 2>/dev/null; then
    echo "format: $file is not as clang-format leaves it: clang-format -i $file" >&2
    offences=$((offences + 1))
  fi
done < <(find core kernels layers models data training tests benchmarks tools examples \
  \( -name '*.h' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh' \) -type f 2>/dev/null | sort)

[ "$files" -gt 0 ] || { echo "format: no source files under $1" >&2; exit 1; }
[ "$offences" -eq 0 ] || { echo "format: $offences of $files files" >&2; exit 1; }
echo "format: $files files"
