#!/usr/bin/env bash
# Runs the scripts in tools/ on a pretended system: what they install, when they install nothing, and what they
# say when they cannot.
# usage: scripts_test.sh SOURCE_FOLDER
set -euo pipefail
tools=$1/tools
system=$(mktemp -d)
trap 'rm -rf "$system"' EXIT

# A PATH with the few real programs that the scripts need, and pretended package tools that keep a log.
mkdir "$system/bin"
for program in bash cat grep env dirname awk sed mkdir date; do
  ln -s "$(command -v "$program")" "$system/bin/$program"
done
pretend() { printf '#!%s\n%s\n' "$(command -v bash)" "$2" >"$system/bin/$1" && chmod +x "$system/bin/$1"; }
pretend apt-get "echo \"apt-get \$*\" >>$system/log"
pretend sudo "echo \"sudo \$1\" >>$system/log; exec \"\$@\""

# run WORDS COMMAND...: runs the command on the pretended system; its output must have WORDS.
status=0
run() {
  local words=$1 output
  shift
  : >"$system/log"
  status=0
  output=$(env -i HOME="$system" PATH="$system/bin" "$@" 2>&1) || status=$?
  grep -qF -- "$words" <<<"$output" || { echo "scripts_test: '$*' said '$output', wanted '$words'" >&2; exit 1; }
}
require() { [ "$2" "$3" "$4" ] || { echo "scripts_test: $1: '$2' $3 '$4' does not hold" >&2; exit 1; }; }
log_has() { grep -qF -- "$1" "$system/log" || { echo "scripts_test: no '$1' in:" >&2; cat "$system/log" >&2; exit 1; }; }

pretend id 'echo 0'
pretend dpkg-query 'echo installed'
run 'packages are there' "$tools/install_packages.sh"
require 'all there: exit status' "$status" = 0
require 'all there: commands' "$(cat "$system/log")" = ''

pretend dpkg-query '[ "${!#}" = cmake ] || echo installed'
run 'installing cmake' "$tools/install_packages.sh"
require 'as root: exit status' "$status" = 0
log_has 'apt-get update'
log_has '--no-install-recommends --no-remove cmake'

pretend dpkg-query '[ "${!#}" != dataset-fashion-mnist ] && echo installed'
run 'installing dataset-fashion-mnist' "$tools/install_packages.sh" dataset-fashion-mnist

pretend id 'echo 1000'
run 'installing dataset-fashion-mnist' "$tools/install_packages.sh" dataset-fashion-mnist
log_has 'sudo apt-get'

rm "$system/bin/sudo"
run 'apt-get install --no-install-recommends dataset-fashion-mnist' \
  "$tools/install_packages.sh" dataset-fashion-mnist
require 'neither root nor sudo: exit status' "$status" = 1
require 'neither root nor sudo: commands' "$(cat "$system/log")" = ''

rm "$system/bin/apt-get"
run 'libeigen3-dev' "$tools/install_packages.sh"
require 'no Debian: exit status' "$status" = 0

run 'usage: tools/quickstart.sh' "$tools/quickstart.sh" --help
run 'usage: tools/test.sh' "$tools/test.sh" --help
run '--preset needs a name' "$tools/test.sh" --preset
echo "scripts_test: passed"
