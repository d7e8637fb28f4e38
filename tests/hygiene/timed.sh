#!/usr/bin/env bash
# Checks that every kernel that kernels/*.h declares is timed: some benchmarks/*_bench.cpp names it.
# usage: timed.sh SOURCE_FOLDER
set -euo pipefail
cd "$1"

declared=$(cat kernels/*.h | { grep -oE '^FOVEA_KERNEL\([a-z0-9_]+' || true; } | cut -d'(' -f2 | sort -u)
[ -n "$declared" ] || { echo "timed: kernels/*.h declare no kernel" >&2; exit 1; }
named=$(cat benchmarks/*_bench.cpp | { grep -oE 'kernels::[a-z0-9_]+' || true; } | sed 's/.*:://' | sort -u)

missing=$(comm -23 <(echo "$declared") <(echo "$named"))
if [ -n "$missing" ]; then
  for name in $missing; do echo "timed: no benchmarks/*_bench.cpp calls kernels::$name" >&2; done
  exit 1
fi
echo "timed: $(wc -l <<<"$declared") kernels"
