#!/usr/bin/env bash
# Checks that the one program with all device tests has those of every subject's own program, told apart by file.
# usage: device_tests.sh DEVICE_TESTS SUBJECT...
set -euo pipefail
program=$1
shift
[ $# -gt 0 ] || { echo "device_tests: no subjects were named" >&2; exit 1; }

# The names of tests, each a line. Catch2 2 and 3 have other flags for that, and the status of 2 counts the tests.
list=(--list-tests --verbosity quiet)
if "$program" --libidentify | grep -q 'version: *2'; then list=(--list-test-names-only); fi
names() { "$@" "${list[@]}" | sort || true; }
tests=0
for subject; do
  own=$(names "$(dirname "$program")/${subject}_test")
  found=$(names "$program" --filenames-as-tags "[#${subject}_test]~[.]")
  [ -n "$own" ] || { echo "device_tests: ${subject}_test lists no tests" >&2; exit 1; }
  diff <(echo "$own") <(echo "$found") >&2 ||
    { echo "device_tests: $program has other tests of $subject than ${subject}_test (<)" >&2; exit 1; }
  tests=$((tests + $(wc -l <<<"$own")))
done
all=$(names "$program" | wc -l)
[ "$all" -eq "$tests" ] || { echo "device_tests: $program has $all tests, its subjects have $tests" >&2; exit 1; }
echo "device_tests: $tests tests of $# subjects"
