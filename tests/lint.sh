#!/usr/bin/env bash
# What the compiler does not say: shellcheck on scripts, ruff on Python, as .ci/run asks; and, with --tidy, clang-tidy 19 on
# all sources but the tests', or on those that changed since a commit (about 4 s each). Each by its configuration (ruff.toml,
# .clang-tidy) and where it is installed; one that is not is said.
# usage: tests/lint.sh [--tidy [--since COMMIT] [--build FOLDER]]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

tidy='' since='' build=build/cpu
while [ $# -gt 0 ]; do
  case $1 in
    --tidy) tidy=yes; shift ;;
    --since) since=${2:?--since needs a commit}; shift 2 ;;
    --build) build=${2:?--build needs a folder}; shift 2 ;;
    *) echo "lint: unexpected $1; usage: tests/lint.sh [--tidy [--since COMMIT] [--build FOLDER]]" >&2; exit 2 ;;
  esac
done

status=0
# there TOOL: whether it can be run; else says so.
there() {
  command -v "$1" >/dev/null && return
  echo "lint: $1 is not installed, and was left out"
  return 1
}

mapfile -t scripts < <(git ls-files | xargs -d '\n' grep -lIE -m1 '^#!/usr/bin/env bash')
if there shellcheck; then
  shellcheck --external-sources --exclude SC2016 "${scripts[@]}" || status=1
  echo "lint: shellcheck read ${#scripts[@]} scripts"
fi
if there ruff; then ruff check --no-cache --quiet . || status=1; fi
folders=(core kernels layers models data training tools benchmarks examples)
if [ -n "$tidy" ] && there clang-tidy-19; then
  [ -f "$build/compile_commands.json" ] || { echo "lint: $build is not configured: cmake --preset cpu" >&2; exit 1; }
  if [ -n "$since" ]; then
    mapfile -t sources < <(git diff --name-only --diff-filter=AMR "$since" -- "${folders[@]}" | grep '\.cpp$')
  else
    mapfile -t sources < <(git ls-files "${folders[@]}" | grep '\.cpp$')
  fi
  # What the build has not has no command to be read with.
  mapfile -t sources < <(for source in "${sources[@]}"; do
    if grep -qF "\"file\": \"$PWD/$source\"" "$build/compile_commands.json"; then echo "$source"; fi
  done)
  if [ ${#sources[@]} -gt 0 ]; then
    printf '%s\0' "${sources[@]}" |
      xargs -0 -n 1 -P "$(nproc)" clang-tidy-19 -p "$build" --quiet 2>/dev/null || status=1
  fi
  echo "lint: clang-tidy read ${#sources[@]} sources"
fi
exit "$status"
