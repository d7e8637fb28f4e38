#!/usr/bin/env bash
# Runs the scripts in tools/ on a pretended system: what they install and when they install nothing, where the
# quickstart finds images, what a check of a GPU builds and runs, and what they say when they cannot go on.
# usage: scripts_test.sh SOURCE_FOLDER
set -euo pipefail
system=$(mktemp -d)
trap 'rm -rf "$system"' EXIT
mkdir "$system/clone" "$system/bin"
cp -r "$1/tools" "$system/clone/tools"
tools=$system/clone/tools

# A PATH with the few real programs that the scripts need, and pretended others that keep a log.
for program in bash cat grep env dirname awk sed mkdir date chmod; do
  ln -s "$(command -v "$program")" "$system/bin/$program"
done
pretend() {
  printf '#!%s\n%s\n' "$(command -v bash)" "$2" >"$system/bin/$1"
  chmod +x "$system/bin/$1"
}
pretend apt-get "echo \"apt-get \$*\" >>$system/log"
pretend sudo "echo \"sudo \$1\" >>$system/log; exec \"\$@\""

fail() {
  echo "scripts_test: $*" >&2
  exit 1
}

# run STATUS WORDS COMMAND...: the command ends with that exit status, and its output has WORDS.
run() {
  local wanted=$1 words=$2 output status=0
  shift 2
  : >"$system/log"
  output=$(cd / && env -i HOME="$system/home" PATH="$system/bin" "$@" 2>&1) || status=$?
  [ "$status" -eq "$wanted" ] || fail "'$*' ended with $status, wanted $wanted, and said '$output'"
  grep -qF -- "$words" <<<"$output" || fail "'$*' said '$output', wanted '$words'"
}
log_has() { grep -qF -- "$1" "$system/log" || fail "no '$1' in the log: $(cat "$system/log")"; }
log_lacks() { ! grep -qF -- "$1" "$system/log" || fail "'$1' is in the log: $(cat "$system/log")"; }
log_is_empty() { [ ! -s "$system/log" ] || fail "the log should be empty: $(cat "$system/log")"; }

# Packages.
pretend id 'echo 0'
pretend dpkg-query 'echo installed'
run 0 'packages are there' "$tools/install_packages.sh"
log_is_empty

pretend dpkg-query '[ "${!#}" = cmake ] || echo installed'
run 0 'installing cmake' "$tools/install_packages.sh"
log_has 'apt-get update'
log_has '--no-install-recommends --no-remove cmake'

pretend dpkg-query '[ "${!#}" = dataset-fashion-mnist ] || echo installed'
run 0 'installing dataset-fashion-mnist' "$tools/install_packages.sh" dataset-fashion-mnist

pretend id 'echo 1000'
run 0 'installing dataset-fashion-mnist' "$tools/install_packages.sh" dataset-fashion-mnist
log_has 'sudo apt-get'

rm "$system/bin/sudo"
run 1 'apt-get install --no-install-recommends dataset-fashion-mnist' \
  "$tools/install_packages.sh" dataset-fashion-mnist
log_is_empty

# The quickstart, with a trainer that writes down its arguments and a result.
pretend dpkg-query 'echo installed'
cat >"$system/trainer" <<'END'
echo "trainer $*" >>SYSTEM/log
[ "$1" != fetch ] || exit FETCH
while [ "$1" != --out ]; do shift; done
mkdir -p "$2"
echo '{"test_accuracy": 0.4321, "test_loss": 1.5}' >"$2/summary.json"
END
# pretend_build STATUS [CUDA] [PRESET]: a cmake that says that CUDA is CUDA, or fails to look for it, and builds in
# PRESET that trainer, whose fetch ends with STATUS.
pretend_build() {
  local folder=$system/clone/build/${3:-cpu}/bin
  pretend cmake "echo \"cmake \$*\" >>$system/log
    [[ \$* != *-DFOVEA_CUDA=AUTO* ]] || { ${2:+echo '--   CUDA              $2'; exit;} exit 1; }
    mkdir -p $folder
    { echo '#!$(command -v bash)'; sed 's|SYSTEM|$system|; s|FETCH|$1|' $system/trainer; } >$folder/cifar_trainer
    chmod +x $folder/cifar_trainer"
}
quickstart() { run "$1" "$2" "${@:4}" "$tools/quickstart.sh" --out "$system/run" --epochs 1; log_has "$3"; }

pretend_build 0
quickstart 0 '43.21 % (cifar10)' "--dataset cifar10 --data $system/home/.cache/fovea --out $system/run --epochs 1"
log_has 'trainer fetch cifar10'
pretend_build 3
quickstart 0 'falls back to Fashion-MNIST' "--dataset fashion-mnist --out $system/run --epochs 1"

mkdir -p "$system/images/cifar-10-batches-bin"
touch "$system/images/cifar-10-batches-bin/test_batch.bin"
quickstart 0 "run            $system/run" "--dataset cifar10 --data $system/images" env FOVEA_DATA="$system/images"
! grep -q fetch "$system/log" || fail 'the quickstart fetched what was there'
run 0 '(cifar10)' "$tools/quickstart.sh" --data /somewhere
log_has '--data /somewhere'

# Which build: there is no GPU; one, with less than a CUDA build needs; one with all.
log_has 'cmake -S'
log_lacks '--preset cuda'
pretend nvidia-smi true
pretend_build 0 'off (toolkit 13.0 found, cuDNN 9.11 or newer not found)'
quickstart 0 'CPU, for CUDA is off (toolkit 13.0 found, cuDNN 9.11 or newer not found). To have it' '--preset cpu'
log_has 'build/cpu --target cifar_trainer'
pretend_build 0 'on (toolkit 13.0, cuDNN 9.19, for 90-real)' cuda
quickstart 0 'Building (preset cuda)' 'build/cuda --target cifar_trainer'
log_lacks '--preset cpu'
pretend_build 0
quickstart 0 'off (configuring it failed, as said above)' 'build/cpu --target cifar_trainer'
rm "$system/bin/nvidia-smi"

pretend cmake 'exit 1'
run 1 'Building' "$tools/quickstart.sh"
pretend dpkg-query 'echo'
run 1 'neither root nor sudo' "$tools/quickstart.sh"
run 1 'neither root nor sudo' "$tools/test.sh"

# The check of a GPU: first where there is none, then with a pretended one, toolkit, build and programs.
for program in nproc timeout tail head cut tee readlink ln rm cp ls xargs paste tr sleep; do
  ln -s "$(command -v "$program")" "$system/bin/$program"
done
mkdir "$system/clone/tests" "$system/clone/benchmarks"
printf 'fovea_test(%s)\n' 'relu DEVICE' 'conv DEVICE' 'upsample DEVICE' cifar >"$system/clone/tests/CMakeLists.txt"
report=$system/check/report.md
gpu_check() { run "$1" "$2" env CUDA_HOME="$system/cuda" "$tools/gpu_check.sh" --out "$system/check" "${@:3}"; }
report_has() { grep -qF -- "$1" "$report" || fail "no '$1' in the report: $(cat "$report")"; }

gpu_check 0 'the report is'
for stage in test sanitize bench steps torch-steps torch-kernels train; do
  report_has "| $stage | not run: there is no nvidia-smi |"
done
report_has '| environment | passed |'
report_has '| build | not run: there is no nvidia-smi, and --architecture names none to build for |'
report_has 'unknown: there is no git repository'

pretend nvidia-smi 'case $* in
  -L) echo "GPU 0: Pretended (UUID: 0)" ;;
  *compute_cap*) echo 9.0 ;;
  *) echo Pretended ;;
esac'
mkdir -p "$system/cuda/bin" "$system/cuda/include" "$system/cuda/lib64"
pretend ../cuda/bin/nvcc 'echo "Cuda compilation tools, release 12.4, V12.4.1"'
gpu_check 0 'the toolkit is 12.4, wanted 13' --stage build
pretend ../cuda/bin/nvcc 'echo "Cuda compilation tools, release 13.0, V13.0.88"'
printf '#define CUDNN_%s\n' 'MAJOR 9' 'MINOR 19' 'PATCHLEVEL 2' >"$system/cuda/include/cudnn_version.h"
touch "$system/cuda/lib64/libcudnn.so.9" "$system/cuda/lib64/libcudnn_ops.so.9" "$system/cuda/lib64/libcublasLt.so"
pretend g++ 'echo "g++ 1.0"'
gpu_check 0 'there is no fovea_bench' --stage bench
pretend cmake 'echo "cmake $*" >>'"$system"'/log; [[ $* != *-DFOVEA_CUDA=ON* || $* == *TOOLS=OFF* ]] || exit 1'
mkdir -p "$system/deps/usr/lib/x86_64-linux-gnu"
gpu_check 0 'passed' --stage build --deps "$system/deps"
built=$system/clone/build/gpu-check
log_has "-DCUDNN_ROOT=$built/libraries"
log_has "-DCMAKE_PREFIX_PATH=$system/deps/usr"
log_has '-DCMAKE_CUDA_ARCHITECTURES=90-real'
log_has "cmake --build $built"
report_has 'cuDNN 9.19.2 from'
report_has '`cifar_trainer` is left out'
[ "$(readlink "$built/libraries/lib/libcudnn.so")" = "$system/cuda/lib64/libcudnn.so.9" ] || fail 'no link to cuDNN'
gpu_check 2 'has no usr/' --deps "$system/cuda"
wanted="wanted the folder with CIFAR-10's .bin files or its parent"
gpu_check 2 "gpu_check: --data: $system/none is no folder, $wanted" --data "$system/none"
gpu_check 2 "gpu_check: --data: $system/cuda has no test_batch.bin, $wanted" --stage test --data "$system/cuda"

mkdir -p "$built/bin"
pretend_program() { pretend "../clone/build/gpu-check/bin/$1" "$2"; }
pretend_program fovea_bench "echo \"fovea_bench \$*\" >>$system/log"
pretend_program fovea_step_time true
pretend_program cifar_trainer 'echo "trainer $*" >>'"$system/log"'
  while [ "$1" != --out ]; do shift; done
  mkdir -p "$2"
  echo "{}" >"$2/summary.json"
  printf "%s\n" epoch,test_loss,test_accuracy,images_per_second,seconds 1,1,.5,9,20 2,1,.9321,9,30 >"$2/metrics.csv"'
pretend ctest 'echo "100% tests passed, 0 tests failed out of 3"'
pretend compute-sanitizer 'case $* in *conv*) exit 1 ;; *"racecheck"*relu_test) exit 99 ;; esac'
gpu_check 1 'compute-sanitizer found errors' --stage test --stage sanitize --stage bench --stage torch-steps
report_has '100% tests passed'
report_has '| memcheck | 2 | none |  |'
report_has '| racecheck | 1 | relu errors |  |'
report_has '| torch-steps | not run: python3 has no PyTorch that can use the GPU |'
log_has 'fovea_bench --device=cuda --dtype=bf16'
log_has 'fovea_bench --device=cuda --dtype=f32'
gpu_check 0 'not run: CIFAR-10 is not on this machine' --stage train
run 0 'passed' env FOVEA_DATA="$system/images" "$tools/gpu_check.sh" --out "$system/check" --stage train
log_has "--data $system/images "
gpu_check 0 'passed' --stage train --data "$system/images" --minutes 2 -- --batch-size 64
log_has '--epochs 12 '
report_has '- attention92-wide, 12 epochs in bf16, --batch-size 64'
report_has 'test accuracy 93.21%'
report_has '| racecheck | 1 | relu errors |  |'  # of the call before
pretend compute-sanitizer true
gpu_check 0 'passed' --stage sanitize
pretend ctest 'sleep 20'
gpu_check 1 'stopped at its limit of 1 s' --stage test --limit 1
pretend_program fovea_bench 'echo "fovea_bench: no device" >&2; exit 4'
gpu_check 1 'failed: fovea_bench: no device' --stage test
gpu_check 2 "there is no stage 'tests'" --stage tests
gpu_check 2 "'--stages' is no option" --stages test
run 0 'usage: tools/gpu_check.sh' "$tools/gpu_check.sh" --help

# Packages in a folder.
pretend dpkg true
run 1 'is not empty' "$tools/pack_packages.sh" "$system/clone"
run 0 'usage: tools/pack_packages.sh DIR' "$tools/pack_packages.sh" --help

rm "$system/bin/apt-get"
run 1 'this is no Debian system' "$tools/pack_packages.sh" "$system/packed"
run 0 'libeigen3-dev' "$tools/install_packages.sh"
run 0 'usage: tools/quickstart.sh' "$tools/quickstart.sh" --help
run 0 'usage: tools/test.sh' "$tools/test.sh" --help
run 1 '--preset needs a name' "$tools/test.sh" --preset
echo "scripts_test: passed"
