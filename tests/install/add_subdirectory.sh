#!/usr/bin/env bash
# Configures, builds and runs a project that has Fovea as a folder: Fovea's own tests, tools and examples must
# not come along. Built without optimisation, and with the CPU's kernels for one processor, to be quick.
# usage: add_subdirectory.sh SOURCE_FOLDER COMPILER BUILD_FOLDER, which is deleted first
set -euo pipefail
consumer=$(cd "$(dirname "${BASH_SOURCE[0]}")/consumer" && pwd)
build=$3
rm -rf "$build"

cmake -S "$consumer" -B "$build" -G Ninja -DCMAKE_CXX_COMPILER="$2" -DCMAKE_BUILD_TYPE=Debug \
  -DCMAKE_CXX_FLAGS_DEBUG=-O0 -DFOVEA_FOLDER="$1" -DFOVEA_CUDA=OFF -DFOVEA_CPU_VARIANTS=OFF
cmake --build "$build"
"$build/consumer"
[ ! -e "$build/consumer_onnx" ] || "$build/consumer_onnx"
for program in "$build"/bin "$build"/fovea/tests "$build"/fovea/tools; do
  [ ! -e "$program" ] || { echo "add_subdirectory: $program was made, and nobody asked for it" >&2; exit 1; }
done
