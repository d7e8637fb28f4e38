#!/usr/bin/env bash
# Installs Debian packages of Fovea on a bare Debian as root, uses the programs, compiles and links programs with the library,
# and takes the packages away again. It changes the system: meant for a root that is thrown away.
# usage: debian_packages.sh FOLDER_OF_PACKAGES
#   cmake --preset package && cmake --build --preset package && cpack --preset package
#   tests/hygiene/debian_root.sh --data build/package bookworm tests/install/debian_packages.sh /data
set -euo pipefail
tree=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
packages=$(cd "$1" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() {
  echo "debian_packages: $*" >&2
  exit 1
}
compgen -G "$packages/fovea-tools_*.deb" >/dev/null || fail "there is no fovea-tools_*.deb in $packages; make it by cpack --preset package"
export DEBIAN_FRONTEND=noninteractive
install=(apt-get install -y -qq --no-install-recommends)
cp "$packages"/*.deb "$work"  # where apt's own user can read them
chmod -R a+rX "$work"
cd "$work"

apt-get update -qq
"${install[@]}" ./fovea-tools_*.deb
cifar_trainer --version
cifar_trainer predict --weights attention56 --top-k 3 "$tree/docs/attention.png" | tee predicted.csv
[ "$(wc -l <predicted.csv)" -eq 2 ] || fail "predict did not print a header and a row for one picture"
page=$(gzip -dc /usr/share/man/man1/cifar_trainer.1.gz)
[[ $page == '.TH CIFAR_TRAINER 1'* ]] || fail "there is no manual page"
cifar_trainer train --dataset synthetic --limit 64 --test-limit 16 --batch-size 16 --max-steps 2 --out run

"${install[@]}" ./libfovea0.1_*.deb ./libfovea-dev_*.deb g++ pkg-config cmake make
[ ! -e /usr/include/CL/cl.h ] || fail "OpenCL's headers are here, so that this does not show that Fovea needs none"
consumer=$tree/tests/install/consumer
# shellcheck disable=SC2046
g++ -std=c++20 "$consumer/main.cpp" -o shared $(pkg-config --cflags --libs fovea)
# shellcheck disable=SC2046
g++ -std=c++20 "$consumer/main.cpp" -o static $(pkg-config --cflags --libs --static fovea | sed 's/-lfovea/-l:libfovea.a/')
# shellcheck disable=SC2046
g++ -std=c++20 "$consumer/onnx.cpp" -o onnx $(pkg-config --cflags --libs fovea_onnx)
./shared
./static
./onnx
[[ $(ldd shared) == *'libfovea.so.0.1 => /'* ]] || fail "the program of pkg-config is not linked with libfovea.so.0.1"
[[ $(ldd static) != *libfovea* ]] || fail "the program linked with libfovea.a needs libfovea.so"
cmake -S "$consumer" -B build -DFOVEA_COMPONENTS=static >cmake.log || { cat cmake.log; fail "CMake does not find Fovea"; }
cmake --build build
for program in build/consumer build/consumer_static build/consumer_onnx; do "$program"; done

apt-get purge -y -qq fovea-tools libfovea-dev libfovea0.1
left=$(find /usr -path '*fovea*' -not -path "$tree/*")
[ -z "$left" ] || fail "purging the packages left $left"
echo "debian_packages: installed, used and removed on Debian $(cat /etc/debian_version)"
