#!/usr/bin/env bash
# Everything that only a machine with a GPU can show, in one command that needs no network.
set -euo pipefail

usage() {
  cat <<'END'
usage: tools/gpu_check.sh [--out DIR] [--stage NAME]... [OPTION]... [-- TRAINING FLAG...]

Builds Fovea for this machine's GPU and shows that it is right and how fast it is. Stages, in this order:

  environment    GPU, driver, CUDA toolkit, cuDNN, PyTorch: what is here
  build          for this GPU alone, into build/gpu-check
  test           all tests, on the device
  sanitize       compute-sanitizer's memcheck, racecheck, initcheck and synccheck on the tests of the kernels
  bench          fovea_bench, every kernel in bf16 and in f32
  steps          fovea_bench, training steps and inference in bf16
  torch-steps    training steps beside PyTorch's, eager, compiled and captured
  torch-kernels  the kernels beside PyTorch's
  train          a training run on CIFAR-10 of about as many minutes as are given

Each writes NAME.log, NAME.md and its raw numbers as JSON into the folder of the report; report.md there has them all,
those of earlier calls with the same folder included. A stage that cannot run says why, and the others go on. The exit
status is 1 if a stage that ran has failed.

  --out DIR        the folder of the report; otherwise a new one in runs/
  --stage NAME     only this stage; may be given several times
  --limit SECONDS  for each stage; otherwise 560, and what training needs
  --deps DIR       libraries that this machine lacks, in a folder made by tools/pack_packages.sh on a Debian machine
  --build DIR      the build folder; otherwise build/gpu-check
  --architecture N compute capability to build for, as in 90; otherwise that of the GPU
  --jobs N         processes at once; otherwise one a processor
  --python PROGRAM Python that has PyTorch; otherwise python3
  --commit TEXT    which commit this is, where there is no git repository
  --models "A B"   for torch-steps; otherwise "attention92 attention92-wide"
  --batch N        images in a step of torch-steps; otherwise 128
  --model NAME     for train; otherwise attention92-wide
  --minutes N      for train; otherwise 1
  --data DIR       for train, the folder with CIFAR-10's .bin files or its parent;
                   otherwise $FOVEA_DATA, then the cache folder

What follows -- goes to `cifar_trainer train`, in place of the recipe "--batch-size 512 --lr 0.5 --label-smoothing 0.1":

  tools/gpu_check.sh --out runs/h100 --stage environment --stage build --stage test
  tools/gpu_check.sh --out runs/h100 --stage train --minutes 2 --model attention92 -- --batch-size 256 --lr 0.4
END
}

self=${BASH_SOURCE[0]}
root=$(cd "$(dirname "$self")/.." && pwd)
arguments=("$@")
all_stages=(environment build test sanitize bench steps torch-steps torch-kernels train)
out=$root/runs/gpu-check-$(date +%Y%m%d-%H%M%S)
build=$root/build/gpu-check
stages=()
limit='' deps='' architecture='' commit='' data='' inner=''
jobs=$(nproc)
python=python3
models='attention92 attention92-wide'
batch=128
model=attention92-wide
minutes=1
training_flags=(--batch-size 512 --lr 0.5 --label-smoothing 0.1)

wrong_usage() { echo "gpu_check: $*; see --help" >&2; exit 2; }
absolute() { case $1 in /*) echo "$1" ;; *) echo "$PWD/$1" ;; esac; }
while [ $# -gt 0 ]; do
  case $1 in
    --help | -h) usage; exit 0 ;;
    --) shift; training_flags=("$@"); break ;;
    --out | --stage | --limit | --deps | --build | --architecture | --jobs | --python | --commit | --models | --batch | \
      --model | --minutes | --data | --inner) [ $# -gt 1 ] || wrong_usage "$1 needs a value" ;;
    *) wrong_usage "'$1' is no option" ;;
  esac
  case $1 in
    --out) out=$(absolute "$2") ;;
    --stage) stages+=("$2") ;;
    --limit) limit=$2 ;;
    --deps) deps=$(absolute "$2") ;;
    --build) build=$(absolute "$2") ;;
    --architecture) architecture=$2 ;;
    --jobs) jobs=$2 ;;
    --python) python=$2 ;;
    --commit) commit=$2 ;;
    --models) models=$2 ;;
    --batch) batch=$2 ;;
    --model) model=$2 ;;
    --minutes) minutes=$2 ;;
    --data) data=$(absolute "$2") ;;
    --inner) inner=$2 ;;
  esac
  shift 2
done
[ ${#stages[@]} -gt 0 ] || stages=("${all_stages[@]}")
for name in "${stages[@]}"; do
  [[ " ${all_stages[*]} " == *" $name "* ]] || wrong_usage "there is no stage '$name'"
done
[[ $limit$jobs$batch$minutes =~ ^[0-9]+$ ]] || wrong_usage "--limit, --jobs, --batch and --minutes are whole numbers"
[ -z "$deps" ] || [ -d "$deps/usr" ] || wrong_usage "$deps is no folder of tools/pack_packages.sh: it has no usr/"

# shellcheck source=tools/gpu_check_stages.sh
source "$root/tools/gpu_check_stages.sh"
[ -z "$data" ] || has_cifar10 "$data" || wrong_usage "--data: $(no_cifar10_reason "$data"), wanted the folder with" \
  "CIFAR-10's .bin files or its parent: name that one, or get them with \`cifar_trainer fetch cifar10\`"

limit_of() {
  if [ -n "$limit" ]; then echo "$limit"; elif [ "$1" = train ]; then echo $((minutes * 90 + 300)); else echo 560; fi
}

# One stage, in a process of its own that can be stopped with all that it has started.
run_stage() {
  local stage=$1 begin=$SECONDS code=0 state
  rm -f "$out/$stage".{md,log,state,reason}
  printf '== %s\n' "$stage" >&2
  timeout --kill-after=20 "$(limit_of "$stage")" bash "$self" "${options[@]}" --inner "$stage" "${flags[@]}" \
    >"$out/$stage.log" 2>&1 || code=$?
  case $code in
    0) state=passed ;;
    77) state="not run: $(cat "$out/$stage.reason")" ;;
    124 | 137) state="failed: stopped at its limit of $(limit_of "$stage") s" ;;
    *) state="failed: $(grep -v '^ *$' "$out/$stage.log" | tail -1 | cut -c1-200)" ;;
  esac
  printf '%s\t%d s\n' "$state" $((SECONDS - begin)) | tee "$out/$stage.state" >&2
  rm -f "$out/$stage.reason"
  [[ $state != failed* ]]
}

name_commit() {
  if [ -n "$commit" ]; then
    echo "$commit"
  elif git -C "$root" rev-parse HEAD >/dev/null 2>&1; then
    echo "$(git -C "$root" rev-parse --short HEAD)$([ -z "$(git -C "$root" status --porcelain)" ] || echo ', with changes')"
  else
    echo 'unknown: there is no git repository; name it with --commit'
  fi
}

write_report() {
  local stage state
  {
    echo "# Fovea on a GPU, $(date +%Y-%m-%d)"
    echo
    echo "- device: $(gpu_name)"
    echo "- commit: $(name_commit)"
    echo
    echo '| stage | result | time |'
    echo '| --- | --- | ---: |'
    for stage in "${all_stages[@]}"; do
      state="not asked for"$'\t'-
      [ ! -f "$out/$stage.state" ] || state=$(cat "$out/$stage.state")
      echo "| $stage | ${state%$'\t'*} | ${state#*$'\t'} |"
    done
    for stage in "${all_stages[@]}"; do
      if [ -s "$out/$stage.md" ]; then printf '\n## %s\n\n' "$stage"; cat "$out/$stage.md"; fi
    done
  } >"$out/report.md"
}

mkdir -p "$out"
if [ -n "$inner" ]; then
  stage=$inner
  "stage_${stage//-/_}"
  exit
fi

# The inner call gets the same arguments, the training flags last.
options=() flags=()
for ((i = 0; i < ${#arguments[@]}; ++i)); do
  if [ "${arguments[i]}" = -- ]; then flags=("${arguments[@]:i}"); break; fi
  options+=("${arguments[i]}")
done
options+=(--out "$out")
failed=0
for name in "${all_stages[@]}"; do
  if [[ " ${stages[*]} " == *" $name "* ]]; then
    run_stage "$name" || failed=1
    write_report
  fi
done
echo "gpu_check: the report is $out/report.md" >&2
exit $failed
