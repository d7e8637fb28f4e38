#!/usr/bin/env bash
# Runs a command of the README as on a fresh machine: in a clone of what is committed, in a minimal root of a Debian
# suite, which has nothing but what debootstrap puts there. Needs root and debootstrap. The compiler's cache and the
# packages that were downloaded are kept for the next time; the root goes away at the end.
# usage: debian_root.sh [--data DIR] SUITE COMMAND...
#   debian_root.sh trixie tools/test.sh -R '^conv$'
#   debian_root.sh --data ~/cifar bookworm tools/quickstart.sh --epochs 1 --limit 6400
set -euo pipefail
source=$(git -C "$(dirname "${BASH_SOURCE[0]}")" rev-parse --show-toplevel)
data=
if [ "${1:-}" = --data ]; then
  data=$(cd "${2:?--data needs a folder}" && pwd)
  shift 2
fi
suite=${1:?wanted a suite of Debian, as trixie}
shift
[ $# -gt 0 ] || { echo "debian_root: wanted a command after $suite" >&2; exit 2; }

if [ "$(id -u)" -ne 0 ] || ! command -v debootstrap >/dev/null; then
  echo "debian_root: wanted root and debootstrap (apt-get install debootstrap) to make a root of $suite" >&2
  exit 1
fi
cache=${XDG_CACHE_HOME:-$HOME/.cache}/fovea-roots
objects=${CCACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/ccache}
archives=$cache/$suite
root=$(mktemp -d)
# Mounts are of a namespace of their own, and are gone with it.
trap 'rm -rf --one-file-system "$root"' EXIT
mkdir -p "$archives/partial" "$objects"

SECONDS=0
debootstrap --variant=minbase --cache-dir="$archives" "$suite" "$root" http://deb.debian.org/debian >"$cache/$suite.log" ||
  { tail -20 "$cache/$suite.log" >&2; exit 1; }
echo "debian_root: a minimal root of $suite ($(cat "$root/etc/debian_version")) after $SECONDS s"
git clone --quiet --no-hardlinks "$source" "$root/fovea"
cp /etc/resolv.conf "$root/etc/"
# apt throws packages away once they are installed, unless told not to.
echo 'Binary::apt::APT::Keep-Downloaded-Packages "true";' >"$root/etc/apt/apt.conf.d/keep"
mkdir -p "$root"/{ccache,data}

status=0
# shellcheck disable=SC2016
unshare --mount sh -ec '
  root=$1 objects=$2 archives=$3 data=$4
  shift 4
  mount -t proc proc "$root/proc"
  mount --rbind /dev "$root/dev"
  mount --bind "$objects" "$root/ccache"
  mount --bind "$archives" "$root/var/cache/apt/archives"
  if [ -n "$data" ]; then mount --bind -o ro "$data" "$root/data"; fi
  exec chroot "$root" /usr/bin/env -i HOME=/root LC_ALL=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    CCACHE_DIR=/ccache CCACHE_BASEDIR=/fovea CCACHE_NOHASHDIR=1 ${data:+FOVEA_DATA=/data} \
    sh -ec '\''cd /fovea; exec "$@"'\'' _ "$@"' _ "$root" "$objects" "$archives" "$data" "$@" || status=$?
echo "debian_root: $* on $suite ended with $status after $SECONDS s"
exit "$status"
