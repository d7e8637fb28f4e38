#!/usr/bin/env bash
# Checks what the benchmarks say of how they were built: a build of Fovea that is slow is called so, and no other; and
# Google Benchmark's warning about itself is explained where it is given, and nowhere else.
# usage: build_type.sh FOVEA_BENCH FOVEA_STEP_TIME CMAKE_BUILD_TYPE [SANITIZERS]
set -euo pipefail
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
fail() {
  echo "build_type: $*; found: $(cat "$tree"/*)" >&2
  exit 1
}
# has WORDS FILE: yes or no.
has() { if grep -qF -- "$1" "$2"; then echo yes; else echo no; fi; }

slow=no
if [ "$3" = Debug ] || [ -n "${4:-}" ]; then slow=yes; fi
bench=("$1" --benchmark_filter='^relu_forward/N:64/H:8/' --benchmark_min_time=0)
"${bench[@]}" >"$tree/out" 2>"$tree/err"
cat "$tree/out" "$tree/err" >"$tree/both"
"$2" --mode inference --batch 1 --steps 1 >"$tree/step_out" 2>"$tree/step_err"
for log in err step_err; do
  [ "$(has '***WARNING*** Fovea was built with' "$tree/$log")" = "$slow" ] || fail "$log: is this build slow? wanted $slow"
done
[ "$(has '***WARNING*** Fovea was built with' "$tree/both")" = "$slow" ] || fail "is this build slow? wanted $slow"
[ "$(has 'note on library_build_type: ' "$tree/both")" = "$(has 'Library was built as DEBUG' "$tree/both")" ] ||
  fail "wanted a note where Google Benchmark warns, and there alone"

# In JSON, likewise, and it stays JSON: the warning goes to standard error.
"${bench[@]}" --benchmark_format=json >"$tree/out" 2>"$tree/err"
[ "$(head -c 1 "$tree/out")" = "{" ] || fail "wanted JSON on standard output"
[ "$(has '"note on library_build_type": ' "$tree/out")" = "$(has '"library_build_type": "debug"' "$tree/out")" ] ||
  fail "JSON: wanted a note where the library's build type is debug, and there alone"
[ "$(has '"fovea_build_type": "release"' "$tree/out")" != "$slow" ] || fail "JSON: is this build slow? wanted $slow"
echo "build_type: slow: $slow; $(grep -o '"library_build_type": "[a-z]*"' "$tree/out")"
