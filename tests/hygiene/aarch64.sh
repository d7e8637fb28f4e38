#!/usr/bin/env bash
# Builds the library for 64-bit ARM with Debian's cross compiler, and runs tests under qemu. The machine's own packages
# stay as they are: the libraries for arm64 are unpacked into a folder. Needs g++-aarch64-linux-gnu and qemu-user.
# usage: aarch64.sh [TEST...]   each the name of a test, as conv; without any, a choice that takes minutes
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
tests=("$@")
if [ ${#tests[@]} -eq 0 ]; then
  tests=(tensor conv upsample attention_merge batch_norm max_pool preactivation_conv softmax safetensors model_training)
fi
for program in aarch64-linux-gnu-g++ qemu-aarch64 apt-get dpkg; do
  command -v "$program" >/dev/null || {
    echo "aarch64: $program not found; wanted Debian's g++-aarch64-linux-gnu and qemu-user" >&2
    exit 1
  }
done

build=build/aarch64
sysroot=$PWD/$build/sysroot
apt=$PWD/$build/apt
packages=(libeigen3-dev nlohmann-json3-dev libxxhash-dev zlib1g-dev zlib1g catch2)
if [ ! -e "$sysroot/complete" ]; then
  # Lists of packages of its own, for arm64 alone.
  mkdir -p "$sysroot" "$apt"/{lists,archives/partial}
  : >"$apt/status"
  options=(-qq -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o APT::Sandbox::User=
    -o "Dir::State::Lists=$apt/lists" -o "Dir::State::status=$apt/status" -o "Dir::Cache=$apt")
  apt-get "${options[@]}" update
  (cd "$apt/archives" && apt-get "${options[@]}" download "${packages[@]}")
  for package in "$apt"/archives/*.deb; do dpkg -x "$package" "$sysroot"; done
  touch "$sysroot/complete"
fi

cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_TOOLCHAIN_FILE="$PWD/cmake/aarch64-linux-gnu.cmake" \
  -DFOVEA_SYSROOT="$sysroot" -DFOVEA_CUDA=OFF -DFOVEA_ONNX=OFF -DFOVEA_BUILD_TOOLS=OFF -DFOVEA_BUILD_BENCHMARKS=OFF \
  -DFOVEA_WERROR="${FOVEA_WERROR:-OFF}"
cmake --build "$build" --target fovea "${tests[@]/%/_test}"
names=$(IFS='|' && echo "${tests[*]}")
ctest --test-dir "$build" --output-on-failure --no-tests=error -R "^($names)\$"
