#!/usr/bin/env bash
# From a fresh clone to a trained network: installs what is missing, builds, finds images, trains, and says how
# good the result is and where everything lies.
set -euo pipefail

usage() {
  cat <<'END'
usage: tools/quickstart.sh [--data DIR] [--out DIR] [--no-install] [TRAINING FLAG...]

Trains attention-nano for 4 epochs on CIFAR-10 (tools/cifar_trainer/settings/quick.toml): some minutes.
Builds for CUDA where there is a GPU with all that this needs (nvcc 13, cuDNN 9.11 or newer), otherwise for the CPU.

  --data DIR      the folder with CIFAR-10's files, or its parent. Otherwise $FOVEA_DATA, the cache folder, where
                  Keras keeps it, then a download; where none has it, Fashion-MNIST from Debian's package
  --out DIR       the folder of the run; otherwise a new one in runs/
  --no-install    do not look for missing Debian packages

Every other argument goes to `cifar_trainer train`, and overrides the recipe:
  tools/quickstart.sh --epochs 1 --limit 6400            a short form, for a test of the whole chain
  tools/quickstart.sh --model attention56 --epochs 5     another network
END
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
data=
out=$root/runs/quickstart-$(date +%Y%m%d-%H%M%S)
install=yes
training_flags=()
while [ $# -gt 0 ]; do
  case $1 in
    --help | -h) usage; exit 0 ;;
    --data) data=${2:?--data needs a folder}; shift ;;
    --out) out=${2:?--out needs a folder}; shift ;;
    --no-install) install=no ;;
    *) training_flags+=("$1") ;;
  esac
  shift
done

say() { printf '\n== %s\n' "$*" >&2; }

# shellcheck source=tools/cifar10.sh
source "$root/tools/cifar10.sh"

# Sets dataset, and data unless cifar_trainer finds that dataset by itself.
find_images() {
  local cache=${XDG_CACHE_HOME:-$HOME/.cache}/fovea folder
  dataset=cifar10
  if [ -n "$data" ]; then
    return  # what the user named is taken, and cifar_trainer says what is wrong with it
  fi
  for folder in "${FOVEA_DATA:-}" "$cache" "$HOME/.keras/datasets" \
    "$HOME/.keras/datasets/cifar-10-batches-py-target"; do
    if [ -n "$folder" ] && has_cifar10 "$folder"; then
      data=$folder
      return
    fi
  done
  say "CIFAR-10 is not on this machine: downloading it (170 MB) into $cache"
  if "$trainer" fetch cifar10; then
    data=$cache
    return
  fi
  say "CIFAR-10 cannot be had here, so this run falls back to Fashion-MNIST (Debian's dataset-fashion-mnist)"
  [ "$install" = no ] || "$root/tools/install_packages.sh" dataset-fashion-mnist >&2
  dataset=fashion-mnist
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

find_images
say "Training on $dataset${data:+ from $data}"
"$trainer" train --config "$root/tools/cifar_trainer/settings/quick.toml" --dataset "$dataset" \
  ${data:+--data "$data"} --out "$out" "${training_flags[@]}"

accuracy=$(sed -n 's/.*"test_accuracy": *\([0-9.eE+-]*\).*/\1/p' "$out/summary.json")
say "Done"
cat <<END
test accuracy  $(awk -v a="$accuracy" 'BEGIN { printf "%.2f %%", 100 * a }') ($dataset)
run            $out
  summary.json, metrics.csv, last.safetensors, best.safetensors
trainer        $trainer
next           $trainer evaluate --help
               $trainer predict --help
               $trainer train --help
END
