#!/usr/bin/env bash
# Installs the Debian packages that building and testing Fovea needs, and only those that are missing.
# usage: tools/install_packages.sh [--at-most SECONDS] [FURTHER PACKAGE...]
# Ends with 1 where it cannot install them, and then names them; with another code where downloading takes longer than
# --at-most, or fails: then nothing is installed.
set -euo pipefail

at_most=
if [ "${1:-}" = --at-most ]; then
  at_most=${2:?--at-most needs seconds}
  shift 2
fi

# shellcheck source=tools/packages.sh
source "$(dirname "${BASH_SOURCE[0]}")/packages.sh"
named=("${build_packages[@]}" "${library_packages[@]}" "${convolution_packages[@]}" "${onnx_packages[@]}"
  "${mpi_packages[@]}" "${test_packages[@]}" "${trainer_packages[@]}" "$@")
packages=("${named[@]%%:*}")
# names_of 1: Fedora's names, of 2: Arch Linux's, each once.
names_of() {
  local names=" " fields package
  for package in "${named[@]}"; do
    IFS=: read -r -a fields <<<"$package"
    [[ $names == *" ${fields[$1]:-$package} "* ]] || names+="${fields[$1]:-$package} "
  done
  names=${names# }
  echo "${names% }"
}

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  cat >&2 <<END
install_packages: there is no apt-get here, so nothing is installed. Install these, and start again with --no-install:
  Debian 12 and 13, Ubuntu 24.04: ${packages[*]}
  Fedora:                         dnf install $(names_of 1)
  Arch Linux:                     pacman -S --needed $(names_of 2)
Other systems: CMake 3.25, a compiler of C++20 (tested: GCC 12 to 14), Eigen 3.4, nlohmann_json 3.11, xxHash, zlib,
  oneDNN 2.6 to 3, Catch2 2.13 to 3, Google Benchmark 1.7, CLI11 2.1, toml++ 3.3, fmt 9, libjpeg-turbo, libpng,
  OpenSSL, libcurl, libarchive; for the export to ONNX libonnx 1.12 and protobuf.
END
  exit 1
fi

missing=()
for package in "${packages[@]}"; do
  state=$(dpkg-query --show --showformat='${db:Status-Status}\n' "$package" 2>/dev/null || true)
  grep -qx installed <<<"$state" || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
  echo "install_packages: all ${#packages[@]} packages are there"
  exit 0
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "install_packages: packages are missing, and there is neither root nor sudo to install them. Ask for:" >&2
    echo "  apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi

echo "install_packages: installing ${missing[*]}"
# --no-remove: stop rather than take away a package of the user's that is in conflict with one of these.
get=(env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends --no-remove)
# In what is left of --at-most; in the foreground, so that Ctrl-C ends it, too.
SECONDS=0
limited() {
  local left=$((at_most - SECONDS))
  "${as_root[@]}" timeout --foreground "$((left > 1 ? left : 1))" "$@"
}
if [ -n "$at_most" ]; then
  limited apt-get update -qq || true  # the lists that are here may do
  limited "${get[@]}" --download-only "${missing[@]}"
else
  "${as_root[@]}" apt-get update -qq
fi
"${as_root[@]}" "${get[@]}" "${missing[@]}"
