#!/usr/bin/env bash
# From a fresh clone to a trained network: installs what is missing, builds, finds images, trains, and says how
# good the result is and where everything lies.
set -euo pipefail

usage() {
  cat <<'END'
usage: tools/quickstart.sh [--data DIR] [--out DIR] [--wait] [--no-install] [TRAINING FLAG...]

Builds the trainer (some 3 to 6 minutes on two cores, the first time), and trains attention-nano for 4 epochs on
CIFAR-10 (tools/cifar_trainer/settings/quick.toml): another 5.
Builds for CUDA where there is a GPU with all that this needs (nvcc 13, cuDNN 9.11 or newer), otherwise for the CPU.

  --data DIR      the folder with CIFAR-10's files, or its parent. Otherwise it is looked for (cifar_trainer datasets),
                  then downloaded. Where that takes more than a minute it goes on beside a run on other images:
                  Fashion-MNIST, if Debian's package comes as fast, or drawn shapes
  --wait          wait for CIFAR-10, however long the download takes
  --out DIR       the folder of the run; otherwise a new one in runs/
  --no-install    do not look for missing Debian packages

Every other argument goes to `cifar_trainer train`, and overrides the recipe (--config takes another one, --dataset
other images, --resume goes on with the run in --out):
  tools/quickstart.sh --epochs 1 --limit 6400            a short form, for a test of the whole chain
  tools/quickstart.sh --model attention56 --epochs 5     another network
END
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
data=
out=$root/runs/quickstart-$(date +%Y%m%d-%H%M%S)
log=$root/runs/download-of-cifar10.log
install=yes
wait=no
download=
is_done=no
dataset=
config=(--config "$root/tools/cifar_trainer/settings/quick.toml")
training_flags=()
while [ $# -gt 0 ]; do
  case $1 in
    --data=* | --out=* | --dataset=*) set -- "${1%%=*}" "${1#*=}" "${@:2}"; continue ;;
    --help | -h) usage; exit 0 ;;
    --data) data=${2:?--data needs a folder}; shift ;;
    --out) out=${2:?--out needs a folder}; shift ;;
    --dataset) dataset=${2:?--dataset needs a name}; shift ;;
    --wait) wait=yes ;;
    --no-install) install=no ;;
    *)
      # A recipe of the user's, and a run that has its own settings, replace ours.
      case $1 in --config | --config=* | --resume | --resume=*) config=() ;; esac
      training_flags+=("$1")
      ;;
  esac
  shift
done
has_flag() { [[ " ${training_flags[*]} " == *" $1"[\ =]* ]]; }
is_resumed=no
if has_flag --resume; then is_resumed=yes; fi

# What would be refused in the end is refused before anything is installed or built.
if [ -n "$data" ] && [ ! -d "$data" ]; then
  echo "quickstart: --data: there is no folder $data" >&2
  exit 3
fi
if [ -e "$out/last.safetensors" ] && [ $is_resumed = no ] && ! has_flag --overwrite; then
  echo "quickstart: --out: $out holds a run already; go on with it (--resume), or name another folder" >&2
  exit 2
fi

say() { printf '\n== %s\n' "$*" >&2; }

has() { "$trainer" datasets "$1" >/dev/null 2>&1; }

# A download beside a run that does not come to its end, by a signal or an error, ends with it.
end_download() {
  [ $is_done = no ] && kill "$download" 2>/dev/null || return 0
  say "The download of CIFAR-10 ends with this run; the next one goes on with it"
}

# Sets dataset, unless the user did, and download to the process that goes on with CIFAR-10 beside a run on others.
find_images() {
  local status=0
  # What the user named is taken, and cifar_trainer says what is wrong with it.
  if [ $is_resumed = yes ] || { [ -n "$dataset" ] && [ "$dataset" != cifar10 ]; }; then
    return
  fi
  dataset=cifar10
  if [ -n "$data" ] || has cifar10; then
    return
  fi
  say "CIFAR-10 is not on this machine: downloading it (170 MB)"
  if [ "$wait" = yes ]; then
    "$trainer" fetch cifar10
    return
  fi
  "$trainer" fetch cifar10 --at-most 60 || status=$?
  case $status in
    0) return ;;
    1)
      mkdir -p "$(dirname "$log")"
      nohup "$trainer" fetch cifar10 >"$log" 2>&1 </dev/null &
      download=$!
      trap end_download EXIT
      say "CIFAR-10 takes longer than a minute (--wait would wait): it goes on beside a run on other images"
      ;;
    [0-9] | [0-9][0-9]) say "CIFAR-10 cannot be had here, so this run takes other images" ;;
    *) exit "$status" ;;  # by a signal
  esac
  dataset=fashion-mnist
  if has fashion-mnist; then
    say "This run falls back to Fashion-MNIST"
  elif [ "$install" = yes ] && "$root/tools/install_packages.sh" --at-most 30 dataset-fashion-mnist >&2; then
    say "This run falls back to Fashion-MNIST (Debian's dataset-fashion-mnist)"
  else
    say "This run falls back to drawn shapes, for Fashion-MNIST cannot be had as fast, either"
    dataset=synthetic
  fi
}

if [ "$install" = yes ]; then
  say "Looking for missing packages"
  "$root/tools/install_packages.sh" >&2
fi

preset=cpu
if nvidia-smi >/dev/null 2>&1; then
  say "There is a GPU: looking for what a CUDA build needs"
  # CMake knows what it finds, and which versions will do; with AUTO it goes on without, and names what is missing.
  cuda=$(cmake -S "$root" --preset cuda -DFOVEA_CUDA=AUTO | sed -n 's/^--  *CUDA  *//p') ||
    cuda="off (configuring it failed, as said above)"
  case $cuda in
    on*) preset=cuda ;;
    *) say "Building for the CPU, for CUDA is ${cuda:-off}. To have it, install nvcc 13 and cuDNN 9.11 or newer (or" \
      "name its folder: cmake --fresh --preset cuda -DCUDNN_ROOT=DIR), and start again" ;;
  esac
fi
say "Building (preset $preset)"
cmake -S "$root" --preset "$preset" >&2
cmake --build "$root/build/$preset" --target cifar_trainer >&2
trainer=$root/build/$preset/bin/cifar_trainer

train() {
  "$trainer" train "${config[@]}" ${dataset:+--dataset "$dataset"} ${data:+--data "$data"} --out "$out" \
    "${training_flags[@]}" "$@"
}
train --dry-run  # a misspelt flag is told before a download
find_images
say "Training${dataset:+ on $dataset}${data:+ from $data}"
train

accuracy=$(sed -n 's/.*"test_accuracy": *\([0-9.eE+-]*\).*/\1/p' <"$out/summary.json")
is_done=yes
say "Done"
cat <<END
test accuracy  $(awk -v a="$accuracy" 'BEGIN { printf "%.2f %%", 100 * a }')${dataset:+ ($dataset)}
run            $out
  summary.json, metrics.csv, last.safetensors, best.safetensors
next, with a photo of yours:
  $trainer predict --checkpoint $out PHOTO.jpg
  $trainer attend --checkpoint $out --out $out/masks PHOTO.jpg   # then open $out/masks/overview.png
and more: $trainer --help
END
case $dataset in
  fashion-mnist) echo "This network knows clothes alone, grey on black: a photo is called one of them." ;;
  synthetic) echo "This network knows drawn shapes alone: a photo is called one of them." ;;
esac
if [ -n "$download" ] && has cifar10; then
  echo "CIFAR-10       has come in the meantime: tools/quickstart.sh trains on it"
elif [ -n "$download" ] && kill -0 "$download" 2>/dev/null; then
  cat <<END
CIFAR-10       still comes, in process $download (kill $download ends it); how far it is: tail $log
               once it is here, tools/quickstart.sh trains on it
END
elif [ -n "$download" ]; then
  echo "CIFAR-10       did not come; the reason: tail $log"
fi
