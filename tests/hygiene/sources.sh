#!/usr/bin/env bash
# Checks the source files themselves: each is named in a CMakeLists.txt or .cmake file of its folder, is at most 400
# lines long, has no TODO, and lies in no folder whose name says nothing; each header has #pragma once.
# usage: sources.sh SOURCE_FOLDER
set -euo pipefail
cd "$1"

longest=400
offences=0
files=0
offence() {
  echo "sources: $*" >&2
  offences=$((offences + 1))
}

# A test is listed by its subject, fovea_test(subject); every other file by its path from the CMakeLists.txt.
is_listed() {
  local file=$1 folder=${1%%/*} path=${1#*/} lists
  case $file in
    tools/cifar_trainer/*) folder=tools/cifar_trainer path=${file#tools/cifar_trainer/} ;;
    tests/op_test.cpp) ;;  # the harness, which is no subject
    tests/*_test.cpp) path=${path%_test.cpp} ;;
    examples/*/*) folder=${file%/*} path=${file##*/} ;;
    examples/*.cpp) path=${path%.cpp} ;;
  esac
  lists=$(find "$folder" \( -name CMakeLists.txt -o -name '*.cmake' \) -exec cat {} +)
  grep -qE "(^|[( ])${path//./\\.}($|[) ])" <<<"$lists"
}

while IFS= read -r file; do
  files=$((files + 1))
  lines=$(wc -l <"$file")
  [ "$lines" -le "$longest" ] || offence "$file has $lines lines, wanted at most $longest: split it"
  ! grep -nE '\b(TODO|FIXME|XXX)\b' "$file" >&2 || offence "$file has a TODO"
  [[ ! /$file =~ /(utils?|common|misc|detail)/ ]] || offence "$file: name the folder after what is in it"
  if [[ $file == *.h ]]; then
    grep -qx '#pragma once' "$file" || offence "$file has no #pragma once"
  fi
  # Only public headers are listed: those in the folders of the library, not in their subfolders.
  [[ $file == */*/*.h || $file =~ ^(tests|benchmarks)/.*\.h$ || $file == tests/*/*.cpp ]] || is_listed "$file" ||
    offence "$file is in no CMakeLists.txt"
done < <(find core kernels layers models data training tests benchmarks tools examples \
  \( -name '*.h' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh' \) -type f 2>/dev/null | sort)

[ "$files" -gt 0 ] || offence "no source files under $1"
[ "$offences" -eq 0 ] || { echo "sources: $offences offences" >&2; exit 1; }
echo "sources: $files files"
