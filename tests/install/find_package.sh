#!/usr/bin/env bash
# Installs a build of Fovea into a temporary prefix, moves the prefix, then builds and runs programs that find Fovea
# there, and nowhere else: by CMake, as a shared library where there is one and as a static one, and by pkg-config.
# usage: find_package.sh BUILD_FOLDER COMPILER [COMPILE AND LINK FLAGS]
set -euo pipefail
consumer=$(cd "$(dirname "${BASH_SOURCE[0]}")/consumer" && pwd)
compiler=$2 flags=${3:-}
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
fail() {
  echo "install_find_package: $*" >&2
  exit 1
}

cmake --install "$1" --prefix "$tree/first" >"$tree/log"
mkdir "$tree/moved"
mv "$tree/first" "$tree/moved/prefix"
prefix=$tree/moved/prefix
! grep -rIl --exclude-dir=doc "$tree/first" "$prefix" || fail "the files above name the prefix of the installation"
pkgconfig=$(dirname "$(find "$prefix" -name fovea.pc)")
library=$(dirname "$pkgconfig")
# is_shared PROGRAM: it needs libfovea.so of the moved prefix.
is_shared() { [[ $(LD_LIBRARY_PATH=$library ldd "$1") == *"libfovea.so."*"=> $library/"* ]]; }

configure() {
  cmake -S "$consumer" -B "$tree/build" -G Ninja -DCMAKE_CXX_COMPILER="$compiler" -DCMAKE_CXX_FLAGS="$flags" \
    -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_FIND_USE_PACKAGE_REGISTRY=OFF "$@"
}
configure -DFOVEA_COMPONENTS=static >>"$tree/log"
grep -q "^fovea_DIR:PATH=$prefix/" "$tree/build/CMakeCache.txt" || fail "CMake found another Fovea than $prefix"
cmake --build "$tree/build"
"$tree/build/consumer"
"$tree/build/consumer_static"
! is_shared "$tree/build/consumer_static" || fail "consumer_static is linked with libfovea.so"
if [ -e "$prefix/include/fovea/training/onnx.h" ]; then "$tree/build/consumer_onnx"; fi
if [ -e "$prefix/include/fovea/training/mpi.h" ]; then
  "$tree/build/consumer_mpi"
  [ "$(mpirun --oversubscribe -n 2 "$tree/build/consumer_mpi" | grep -c 'of 2: a sum of 3')" = 2 ] ||
    fail "mpirun -n 2 consumer_mpi did not add up the numbers of both"
fi
if [ -n "$(find "$prefix" -name libfovea_emulated_backend.a)" ]; then "$tree/build/consumer_emulated"; fi
if log=$(configure -DFOVEA_COMPONENTS=stattic 2>&1); then fail "there is no component stattic, and it was found"; fi
[[ $(tr -s ' \n' ' ' <<<"$log") == *"no component 'stattic'"* ]] || fail "of a component that there is not CMake said: $log"

# Without CMake. What is linked at run time must not be what was there when it was compiled: LD_LIBRARY_PATH.
export PKG_CONFIG_PATH=$pkgconfig
command -v pkg-config >/dev/null || fail "there is no pkg-config; install pkg-config (or pkgconf)"
cd "$tree"
# shellcheck disable=SC2046,SC2086
"$compiler" -std=c++20 $flags -c "$consumer/main.cpp" -o main.o $(pkg-config --cflags fovea)
# shellcheck disable=SC2046,SC2086
link() { "$compiler" $flags main.o -o "$1" $(pkg-config --libs "${@:2}" fovea); }
if compgen -G "$library/libfovea.so*" >/dev/null; then
  is_shared build/consumer || fail "consumer is not linked with $library/libfovea.so"
  link program
  is_shared program || fail "pkg-config did not link $library/libfovea.so"
  [[ $(pkg-config --libs fovea) != *dnnl* ]] || fail "libfovea.so brings what it needs, found: $(pkg-config --libs fovea)"
  LD_LIBRARY_PATH=$library ./program
  rm "$library"/libfovea*.so*
else
  link program
  ./program
fi
link program_static --static
! is_shared program_static || fail "program_static is linked with libfovea.so"
./program_static
[ "$(pkg-config --modversion fovea)" = "$(sed -nE 's/#define FOVEA_VERSION "(.*)"/\1/p' "$prefix/include/fovea/config.h")" ] ||
  fail "fovea.pc is of version $(pkg-config --modversion fovea)"
