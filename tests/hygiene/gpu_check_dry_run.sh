#!/usr/bin/env bash
# Tries the three calls of tools/gpu_check on a packed folder in a bare root of another distribution, which has Python
# and Pillow and no GPU: every program starts there and says that there is no device, the images come out as they went
# in, and the calls stay within what may travel, come back, and take. Needs root; makes the root with debootstrap if it
# is not there yet.
# usage: gpu_check_dry_run.sh SOURCE_FOLDER PACKED_FOLDER [ROOT [CUDA_LIBRARIES]]
set -euo pipefail
source=$(cd "$1" && pwd)
packed=$(cd "$2" && pwd)
root=${3:-/tmp/fovea-trixie}
cuda=${4:-/usr/local/cuda/lib64}

fail() {
  echo "gpu_check_dry_run: $*" >&2
  exit 1
}
[ "$(id -u)" -eq 0 ] || fail "wanted root, for chroot"
if [ ! -x "$root/usr/bin/python3" ]; then
  debootstrap --variant=minbase --include=python3,python3-pil trixie "$root" http://deb.debian.org/debian >&2
fi
[ ! -e "$root/usr/local/cuda" ] || fail "$root has a CUDA toolkit, wanted a bare root"

# What the machine has: a driver's program, and CUDA's libraries where PyTorch's packages put them.
cat >"$root/usr/local/bin/nvidia-smi" <<'SCRIPT'
#!/bin/sh
echo 'Pretended, 0, 0 MiB, 0 MHz, 0 W'
SCRIPT
chmod +x "$root/usr/local/bin/nvidia-smi"
site=$root/usr/lib/python3/dist-packages/nvidia
copy() {
  mkdir -p "$site/$1/lib"
  cp -alLf "${@:2}" "$site/$1/lib/" 2>/dev/null || cp -aLf "${@:2}" "$site/$1/lib/"
}
copy cudnn "$cuda"/libcudnn*.so.9
copy cu13 "$cuda"/libcublas*.so.13 "$cuda"/libnvrtc*.so.*

# there COMMAND...: runs it in the root, with /proc, which the loader asks where a program lies.
there() {
  # shellcheck disable=SC2016
  unshare --mount sh -c 'mount -t proc proc "$1/proc" && exec chroot "$@"' _ "$root" /usr/bin/env -i HOME=/root \
    PATH=/usr/local/bin:/usr/bin:/bin LC_ALL=C.UTF-8 OUT=/out "$@"
}
# call N CARRIED...: what travels is there, the call runs as it will, and its report is in $report.
call() {
  local number=$1 begin size status=0
  shift
  rm -rf "$root/tree" "$root/out"
  mkdir -p "$root/tree/packed" "$root/out"
  git -C "$source" ls-files -coz --exclude-standard | (cd "$source" && xargs -0 cp -a --parents -t "$root/tree")
  for carried; do cp -a "$packed/$carried" "$root/tree/packed/"; done
  size=$(du -sb --apparent-size "$root/tree" | cut -f1)
  begin=$(date +%s)
  there /tree/tools/gpu_check run "$number" --pack /tree/packed --work /tmp/dry-run || status=$?
  echo "gpu_check_dry_run: call $number: $((size / 1048576)) MiB there, $(du -sk "$root/out" | cut -f1) KiB back," \
    "$(($(date +%s) - begin)) s"
  [ "$status" -eq 1 ] || fail "call $number ended with $status, wanted 1: there is no device"
  [ "$size" -le $((62 << 20)) ] || fail "call $number carries $size bytes, wanted at most 62 MiB"
  [ "$(find "$root/out" -type f | wc -l)" -le 8 ] || fail "more than 8 files come back: $(ls "$root/out")"
  [ -z "$(find "$root/out" -type f -size +16M)" ] || fail "a file that comes back is larger than 16 MiB"
  report=$root/out/report.md
}
# has CALL PART WORDS: the row of a part in the last lines of the report has these words.
has() {
  tail -40 "$report" | grep "^| $1 | $2 | " | grep -qF -- "$3" || fail "no '$3' in the row of $2: $(tail -40 "$report")"
}
no_device='cannot be used: there is no NVIDIA driver'

rm -rf "$root/tmp/dry-run"
call 1 programs.tar.xz half-1
has 1 unpack passed
# It is the last thing that this part wants: all programs have started by then.
has 1 versions "failed: exit status 4: fovea_bench: device: \"cuda\" $no_device"
has 1 tests "failed: exit status 4: fovea_bench: device: \"cuda\" $no_device"
has 1 compiled 'failed: exit status 1'  # there is no PyTorch
has 1 step-wide "failed: exit status 4: fovea_step_time: device: \"cuda\" $no_device"
for words in 'CUDA runtime 13' 'driver none' 'cuDNN 9.' 'cuBLASLt 13.' \
  "CUDA's libraries are those of /usr/lib/python3/dist-packages/nvidia/cu13/lib, /usr/lib/python3"; do
  grep -qF "$words" "$report" || fail "no '$words' in the report: $(cat "$report")"
done
! grep 'not opened' "$report" || fail 'a library of CUDA that is there is not found'
# They start and run: on the CPU, without a device.
there OMP_WAIT_POLICY=passive FOVEA_GOLDEN_DIR=/tree/tests/golden \
  LD_LIBRARY_PATH=/usr/lib/python3/dist-packages/nvidia/cudnn/lib:/usr/lib/python3/dist-packages/nvidia/cu13/lib \
  /tmp/dry-run/programs/device_tests --filenames-as-tags '[#relu_test],[#parity_test],[#cudnn_engines_test]'
call 2 half-2
has 2 data passed
has 2 train "failed: exit status 4: cifar_trainer: device: \"cuda\" $no_device"
has 2 bench 'failed: exit status 4'
images=$root/tmp/dry-run/cifar-10-batches-bin
[ "$(find "$images" -size -30730001c -name '*.bin' -size +30729999c | wc -l)" -eq 6 ] || fail "$(ls -l "$images")"
call 3
has 3 torch failed
has 3 sanitize 'not run: there is no compute-sanitizer'
rm -rf "$root/tree" "$root/out" "$root/tmp/dry-run"
echo "gpu_check_dry_run: passed"
