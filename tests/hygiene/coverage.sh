#!/usr/bin/env bash
# Checks that every differentiable operation that layers/functional.h declares is given to the property harness:
# some tests/*_test.cpp calls check_operation("name", ...). That the call really runs F::name is checked by the
# harness itself, by the name which the operation records.
# usage: coverage.sh SOURCE_FOLDER
set -euo pipefail
cd "$1"

operations=$(sed -nE 's/^Variable ([a-z0-9_]+)\(.*/\1/p' layers/functional.h | sort -u)
# The name may stand on the line after the bracket.
checked=$(cat tests/*_test.cpp | tr '\n' ' ' | { grep -oE 'check_operation\( *"[a-z0-9_]+"' || true; } |
  cut -d'"' -f2 | sort -u)

[ -n "$operations" ] || { echo "coverage: layers/functional.h declares no operation" >&2; exit 1; }
missing=$(comm -23 <(echo "$operations") <(echo "$checked"))
if [ -n "$missing" ]; then
  for name in $missing; do
    echo "coverage: F::$name has no case; add check_operation(\"$name\", ...) to a test" >&2
  done
  exit 1
fi
echo "coverage: $(wc -l <<<"$operations") operations"
