#!/usr/bin/env bash
# Installs a build of Fovea into a temporary prefix, then configures, builds and runs a project that finds it
# there, and nowhere else.
# usage: find_package.sh BUILD_FOLDER COMPILER [COMPILE AND LINK FLAGS]
set -euo pipefail
consumer=$(cd "$(dirname "${BASH_SOURCE[0]}")/consumer" && pwd)
prefix=$(mktemp -d)
trap 'rm -rf "$prefix"' EXIT

cmake --install "$1" --prefix "$prefix/installed"
cmake -S "$consumer" -B "$prefix/build" -G Ninja -DCMAKE_CXX_COMPILER="$2" -DCMAKE_CXX_FLAGS="${3:-}" \
  -DCMAKE_PREFIX_PATH="$prefix/installed" -DCMAKE_FIND_USE_PACKAGE_REGISTRY=OFF
grep -q "^fovea_DIR:PATH=$prefix/installed/" "$prefix/build/CMakeCache.txt"
cmake --build "$prefix/build"
"$prefix/build/consumer"
[ ! -e "$prefix/installed/include/fovea/training/onnx.h" ] || "$prefix/build/consumer_onnx"
