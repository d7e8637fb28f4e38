#!/usr/bin/env bash
# Installs what is missing, builds Fovea and runs all of its tests.
set -euo pipefail

usage() {
  cat <<'END'
usage: tools/test.sh [--preset NAME] [--no-install] [CTEST ARGUMENT...]

  --preset NAME   cpu (default), portable, debug, asan or cuda: a preset of CMakePresets.json
  --no-install    do not look for missing Debian packages

Every other argument goes to ctest:
  tools/test.sh -R upsample              only the tests whose name has "upsample"
  tools/test.sh --preset asan            everything, under the sanitizers and with AVX2 alone
END
}

preset=cpu
install=yes
ctest_arguments=()
while [ $# -gt 0 ]; do
  case $1 in
    --help | -h) usage; exit 0 ;;
    --preset) preset=${2:?--preset needs a name}; shift ;;
    --no-install) install=no ;;
    *) ctest_arguments+=("$1") ;;
  esac
  shift
done

cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [ "$install" = yes ]; then
  tools/install_packages.sh
fi
cmake --preset "$preset"
cmake --build --preset "$preset"
ctest --preset "$preset" --output-on-failure --no-tests=error "${ctest_arguments[@]}"
