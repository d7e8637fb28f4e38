#!/usr/bin/env bash
# Unpacks the Debian packages that a build with CUDA needs into a folder, without installing anything: for a machine
# with a GPU that has neither these packages nor a network. `tools/gpu_check.sh --deps DIR` builds with that folder.
# usage: tools/pack_packages.sh DIR
set -euo pipefail

case ${1:-} in
  --help | -h | '') sed -n '2,4s/^# //p' "${BASH_SOURCE[0]}"; [ $# -gt 0 ]; exit ;;
esac
folder=$1

# shellcheck source=tools/packages.sh
source "$(dirname "${BASH_SOURCE[0]}")/packages.sh"
# The compiler, CMake and Ninja must be on the other machine; oneDNN is left out, for the CPU is not what is checked.
packages=("${library_packages[@]}" "${test_packages[@]}" "${trainer_packages[@]}")
# What every system with a compiler has, in a version that fits it; taken from here it could clash.
is_of_the_system() {
  [[ $1 =~ ^(libc6|libc-|gcc-|libgcc-|libstdc|linux-libc-dev|libcrypt|libnsl|libtirpc|rpcsvc|libsasl2-modules|libdb5) ]]
}

if ! command -v apt-get >/dev/null || ! command -v dpkg >/dev/null; then
  echo "pack_packages: this is no Debian system, so there are no packages to unpack" >&2
  exit 1
fi
if [ -e "$folder" ] && [ -n "$(ls -A "$folder")" ]; then
  echo "pack_packages: $folder is not empty; name a folder that is new" >&2
  exit 1
fi
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
archives=$(mktemp -d)
trap 'rm -rf "$archives"' EXIT

needed=()
while read -r package; do
  is_of_the_system "$package" || needed+=("$package")
done < <(apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces \
  --no-enhances "${packages[@]}" | grep '^[a-z0-9]' | sed 's/:.*//' | sort -u)
[ ${#needed[@]} -gt 0 ] || { echo "pack_packages: apt knows no packages; run apt-get update" >&2; exit 1; }

echo "pack_packages: unpacking ${#needed[@]} packages into $folder"
(cd "$archives" && apt-get -o APT::Sandbox::User="$(id -un)" download -qq "${needed[@]}")
for archive in "$archives"/*.deb; do dpkg -x "$archive" "$folder"; done

# Headers and libraries alone, each kind in one place.
if [ -d "$folder/lib" ]; then cp -a "$folder/lib/." "$folder/usr/lib/"; rm -rf "${folder:?}/lib"; fi
for headers in "$folder"/usr/include/*-linux-gnu; do
  if [ -d "$headers" ]; then cp -a "$headers/." "$folder/usr/include/"; rm -rf "$headers"; fi
done
find "$folder" -mindepth 1 -maxdepth 1 ! -name usr -exec rm -rf {} +
rm -rf "${folder:?}"/usr/{bin,sbin,libexec} "${folder:?}"/usr/share/{doc,man,locale,lintian,bug,info,perl5,aclocal}
rm -rf "$folder"/usr/include/eigen3/unsupported "$folder"/usr/lib/*/{engines-3,ossl-modules,sasl2}
# Links into the folders of this machine's own packages lead beside them there.
while IFS= read -r link; do
  ln -sfn "$(basename "$(readlink "$link")")" "$link"
done < <(find "$folder" -type l -lname '/*')
for library in crypto ssl curl z png png16 xxhash; do rm -f "$folder"/usr/lib/*/"lib$library.a"; done
echo "pack_packages: $(du -sm "$folder" | cut -f1) MiB"
