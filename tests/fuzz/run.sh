#!/usr/bin/env bash
# Builds the fuzzers and runs each for some seconds, two at a time: tests/fuzz/run.sh [SECONDS [PARSER...]]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

seconds=${1:-60}
shift || true
if ! command -v clang++-19 >/dev/null; then
  echo "fuzz: skipped, there is no clang++-19 (Debian's package clang-19)"
  exit 0
fi
folder=$PWD/build/fuzz
cmake --preset fuzz >/dev/null
cmake --build --preset fuzz
all=$(tests/fuzz/seeds.py "$folder/seeds")
if [ $# -gt 0 ]; then all=$*; fi

# A file that takes longer than 10 s or more than 1 GiB is a fault, too. New inputs stay in the corpus of the build
# folder, and what fails is written beside it.
run_one() {
  local parser=$1 corpus=$folder/corpus/$1 log=$folder/$1.log
  mkdir -p "$corpus"
  if FOVEA_PARSER=$parser "$folder/bin/fuzz_parsers" "$corpus" "$folder/seeds/$parser" \
    -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -max_len=8192 -print_final_stats=1 \
    -artifact_prefix="$folder/$parser-" >"$log" 2>&1; then
    echo "fuzz: $parser: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs, no fault"
  else
    tail -n 60 "$log" >&2
    echo "fuzz: $parser: FAILED; its input is $folder/$parser-..., all of its output $log" >&2
    return 1
  fi
}
export -f run_one
export folder seconds
# shellcheck disable=SC2086,SC2016
printf '%s\n' $all | xargs -P 2 -I '{}' bash -c 'run_one "$1"' _ '{}'
