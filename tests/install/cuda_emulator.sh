#!/usr/bin/env bash
# Builds and installs the emulator of CUDA alone, as somebody does who wants nothing else of Fovea, and there builds and
# runs examples/cuda_kernel, which must find a missing barrier; what the emulator does not have must not compile.
# usage: cuda_emulator.sh SOURCE_FOLDER COMPILER BUILD_FOLDER
set -euo pipefail
source=$1 compiler=$2 build=$3
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
fail() {
  echo "install_cuda_emulator: $*" >&2
  exit 1
}

cmake -S "$source" -B "$build" -G Ninja -DCMAKE_CXX_COMPILER="$compiler" -DFOVEA_EMULATOR=ON -DFOVEA_CUDA=OFF \
  -DFOVEA_ONNX=OFF -DFOVEA_BUILD_TESTS=OFF -DFOVEA_BUILD_TOOLS=OFF -DFOVEA_BUILD_BENCHMARKS=OFF \
  -DFOVEA_BUILD_EXAMPLES=OFF
cmake --build "$build" --target fovea_cuda_emulator
cmake --install "$build" --component cuda_emulator --prefix "$tree/stage"
mv "$tree/stage" "$tree/installed"
[ ! -e "$tree/installed/include/cuda_runtime.h" ] || fail "cuda_runtime.h is where a program with CUDA would find it"

# configure FOLDER NAME: its project, in $tree/NAME
configure() {
  cmake -S "$1" -B "$tree/$2" -G Ninja -DCMAKE_CXX_COMPILER="$compiler" -DCMAKE_PREFIX_PATH="$tree/installed" \
    -DCMAKE_FIND_USE_PACKAGE_REGISTRY=OFF -DCMAKE_BUILD_TYPE=Debug
}
cp -r "$source/examples/cuda_kernel" "$tree/example"
configure "$tree/example" example_build
cmake --build "$tree/example_build"
"$tree/example_build/row_sums_test"

# wrong NAME SED_SCRIPT: the example with a change, in $tree/NAME
wrong() {
  cp -r "$source/examples/cuda_kernel" "$tree/$1"
  sed -i "$2" "$tree/$1/row_sums.cu"
  ! cmp -s "$source/examples/cuda_kernel/row_sums.cu" "$tree/$1/row_sums.cu" || fail "$1: '$2' changes nothing"
  configure "$tree/$1" "$1_build" >/dev/null
}
# refused NAME SED_SCRIPT WORDS: the changed example does not compile, and the compiler says so.
refused() {
  wrong "$1" "$2"
  local log
  log=$(cmake --build "$tree/$1_build" 2>&1) && fail "$1 compiles"
  grep -qF -- "$3" <<<"$log" || fail "$1: the compiler said '$log', wanted '$3'"
}
wrong barrier '/__syncthreads/d'
cmake --build "$tree/barrier_build" >/dev/null
! log=$("$tree/barrier_build/row_sums_test") || fail "a missing barrier was not found: $log"
grep -q '^row_sums: .* is .*, wanted ' <<<"$log" || fail "a missing barrier gave '$log'"
refused shared 's/FOVEA_SHARED(float, of_warps, kWarps)/__shared__ float of_warps[kWarps]/' 'the emulator has no __shared__'
refused atomic 's/y\[blockIdx.x\] = total/atomicAdd(\&y[blockIdx.x], total)/' 'sums of floats by atomics depend on the order'
refused unknown 's/__syncthreads();/__nanosleep(1);/' '__nanosleep'

# A Fovea without it says so.
sed -i 's/^set(fovea_cuda_emulator_FOUND ON)$/set(fovea_cuda_emulator_FOUND OFF)/' \
  "$tree/installed/lib/cmake/fovea/fovea-config.cmake"
log=$(configure "$tree/example" without_build 2>&1) && fail "a Fovea without the emulator was taken for one with it"
[[ $(tr -s ' \n' ' ' <<<"$log") == *"no component 'cuda_emulator'"* ]] || fail "a Fovea without the emulator said '$log'"
echo "install_cuda_emulator: built, installed, used"
