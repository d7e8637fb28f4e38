# The stages of gpu_check.sh, which reads this file. A stage prints what goes into its log, writes Markdown with `note`,
# ends with 77 through `skip`, and fails with any other exit status.
# shellcheck shell=bash disable=SC2154

note() { printf '%s\n' "$@" >>"$out/$stage.md"; }
skip() {
  echo "$*" >"$out/$stage.reason"
  exit 77
}

gpu_field() { nvidia-smi --query-gpu="$1" --format=csv,noheader 2>/dev/null | head -1; }
has_gpu() { command -v nvidia-smi >/dev/null && nvidia-smi -L 2>/dev/null | grep '^GPU ' >/dev/null; }
gpu_name() {
  if has_gpu; then
    echo "$(gpu_field name), driver $(gpu_field driver_version), $(gpu_field memory.total)"
  else
    echo "none: $(no_gpu_reason)"
  fi
}
no_gpu_reason() {
  if command -v nvidia-smi >/dev/null; then echo "nvidia-smi lists no NVIDIA GPU"; else echo "there is no nvidia-smi"; fi
}
need_gpu() { has_gpu || skip "$(no_gpu_reason)"; }
need_program() { [ -x "$build/bin/$1" ] || skip "there is no $1 in $build: run the stage build"; }

find_nvcc() {
  local folder
  for folder in "${CUDA_HOME:-}/bin" "${CUDA_PATH:-}/bin" /usr/local/cuda/bin /usr/local/cuda-*/bin /opt/cuda/bin; do
    if [ -x "$folder/nvcc" ]; then echo "$folder/nvcc"; return; fi
  done
  command -v nvcc || true
}
toolkit_release() { "$1" --version | sed -n 's/.*release \([0-9]*\.[0-9]*\).*/\1/p'; }

# Folders in which Python packages keep NVIDIA's libraries: .../nvidia/cudnn, .../nvidia/cu13.
python_folders() {
  "$python" - 2>/dev/null <<'END' || true
import importlib.util
import pathlib
spec = importlib.util.find_spec("nvidia")
for place in spec.submodule_search_locations if spec else []:
    for folder in sorted(pathlib.Path(place).iterdir()):
        if (folder / "lib").is_dir():
            print(folder)
END
}

# folder_with FILE ROOT...: the first folder below a root that has FILE (which may be a pattern).
folder_with() {
  local file=$1 top below
  shift
  for top in "$@"; do
    for below in include include/x86_64-linux-gnu targets/x86_64-linux/include lib64 lib targets/x86_64-linux/lib \
      lib/x86_64-linux-gnu; do
      if [ -n "$top" ] && compgen -G "$top/$below/$file" >/dev/null; then echo "$top/$below"; return; fi
    done
  done
}

# Where the loader would take a library from.
folder_of_loader() {
  { ldconfig -p 2>/dev/null || /sbin/ldconfig -p 2>/dev/null || true; } |
    awk -v name="$1" '$1 == name { sub("/[^/]*$", "", $NF); print $NF; exit }'
}

# Sets cudnn_headers and cudnn_libraries: folders, empty if not found. What belongs together is taken together.
find_cudnn() {
  local place places=("${CUDNN_ROOT:-}" "$1")
  mapfile -t -O ${#places[@]} places < <(python_folders)
  places+=(/usr /usr/local)
  cudnn_headers='' cudnn_libraries=''
  for place in "${places[@]}"; do
    cudnn_headers=$(folder_with cudnn_version.h "$place")
    cudnn_libraries=$(folder_with 'libcudnn.so*' "$place")
    [ -z "$cudnn_headers" ] || [ -z "$cudnn_libraries" ] || return 0
  done
  cudnn_headers=$(folder_with cudnn_version.h "${places[@]}")
  cudnn_libraries=$(folder_with 'libcudnn.so*' "${places[@]}")
  [ -n "$cudnn_libraries" ] || cudnn_libraries=$(folder_of_loader libcudnn.so.9)
}
cudnn_version() {
  awk '/define CUDNN_(MAJOR|MINOR|PATCHLEVEL) / { v = v sep $3; sep = "." } END { print v }' \
    "$cudnn_headers/cudnn_version.h"
}

# link_libraries FOLDER PATTERN...: links to the libraries there in $build/libraries/lib, also without their versions.
link_libraries() {
  local folder=$1 pattern file name
  shift
  for pattern in "$@"; do
    for file in "$folder"/$pattern; do
      [ -e "$file" ] || continue
      name=${file##*/}
      ln -sfn "$file" "$build/libraries/lib/$name"
      [ -e "$build/libraries/lib/${name%%.so*}.so" ] || ln -sfn "$file" "$build/libraries/lib/${name%%.so*}.so"
    done
  done
}

stage_environment() {
  local nvcc program
  note "- GPU: $(gpu_name)"
  if has_gpu; then
    note "- compute capability $(gpu_field compute_cap); $(gpu_field clocks.max.sm) at most; $(gpu_field power.limit)"
  fi
  note "- processors: $(nproc), $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1)"
  nvcc=$(find_nvcc)
  if [ -n "$nvcc" ]; then
    note "- CUDA toolkit: $(toolkit_release "$nvcc"), $nvcc"
    find_cudnn "$(dirname "$(dirname "$(readlink -f "$nvcc")")")"
    if [ -n "$cudnn_headers" ] && [ -n "$cudnn_libraries" ]; then
      note "- cuDNN: $(cudnn_version), headers in $cudnn_headers, libraries in $cudnn_libraries"
    else
      note "- cuDNN: not found (headers: ${cudnn_headers:-none}, libraries: ${cudnn_libraries:-none})"
    fi
  else
    note '- CUDA toolkit: none'
  fi
  for program in g++ cmake ninja compute-sanitizer; do
    note "- $program: $("$program" --version 2>/dev/null | grep -m1 '[0-9]\.[0-9]' || echo none)"
  done
  note "- PyTorch: $("$python" -c 'import torch; print(torch.__version__, "with", torch.cuda.device_count(), "devices")' \
    2>/dev/null || echo "none for $python")"
  cat "$out/$stage.md"
}

stage_build() {
  local nvcc toolkit places nvrtc cublas header folder flags=()
  nvcc=$(find_nvcc)
  [ -n "$nvcc" ] || skip 'there is no CUDA toolkit: nvcc is neither in the usual places nor in PATH'
  [[ $(toolkit_release "$nvcc") == 13.* ]] || skip "the toolkit is $(toolkit_release "$nvcc"), wanted 13"
  if [ -z "$architecture" ]; then
    has_gpu || skip "$(no_gpu_reason), and --architecture names none to build for"
    architecture=$(gpu_field compute_cap)
  fi
  toolkit=$(dirname "$(dirname "$(readlink -f "$nvcc")")")
  find_cudnn "$toolkit"
  [ -n "$cudnn_headers" ] || skip 'cudnn_version.h is neither in the toolkit nor in /usr nor in a Python package'
  [ -n "$cudnn_libraries" ] || skip 'libcudnn.so.9 is neither in the toolkit nor in /usr nor in a Python package'

  # One folder with what CMake and the loader are to find, whatever it is called where it comes from.
  rm -rf "$build/libraries"
  mkdir -p "$build/libraries/include" "$build/libraries/lib"
  ln -sfn "$cudnn_headers"/cudnn*.h "$build/libraries/include/"
  link_libraries "$cudnn_libraries" 'libcudnn*.so*'
  flags+=(-DCUDNN_ROOT="$build/libraries")
  mapfile -t places < <(echo "$toolkit"; python_folders)
  # cuDNN opens it where it lies itself.
  nvrtc=$(folder_with 'libnvrtc.so.13' "${places[@]}")
  [ -z "$nvrtc" ] || link_libraries "$nvrtc" 'libnvrtc*.so*'
  if [ -z "$(folder_with libcublasLt.so "$toolkit")" ]; then  # a toolkit of the compiler alone
    cublas=$(folder_with 'libcublasLt.so*' "${places[@]}")
    [ -n "$cublas" ] || skip 'libcublasLt is neither in the toolkit nor in a Python package'
    link_libraries "$cublas" 'libcublas*.so*'
    for header in "$cublas"/../include/{cublas*.h,nvtx3}; do
      [ ! -e "$header" ] || ln -sfn "$header" "$build/libraries/include/"
    done
    flags+=(-DCUDA_cublasLt_LIBRARY="$build/libraries/lib/libcublasLt.so")
    export CPATH=$build/libraries/include${CPATH:+:$CPATH}
  fi
  if [ -n "$deps" ]; then
    folder=$(echo "$deps"/usr/lib/*-linux-gnu)
    # The loader of what is built looks there for what those libraries need themselves, too.
    flags+=(-DCMAKE_PREFIX_PATH="$deps/usr"
      "-DCMAKE_EXE_LINKER_FLAGS=-Wl,--disable-new-dtags -Wl,-rpath,$folder -Wl,-rpath-link,$folder")
  fi
  command -v ninja >/dev/null && flags+=(-G Ninja)
  flags+=(-S "$root" -B "$build" -DCMAKE_BUILD_TYPE=Release -DFOVEA_CUDA=ON -DCMAKE_CUDA_COMPILER="$nvcc"
    -DCMAKE_CUDA_ARCHITECTURES="${architecture/./}-real" -DFOVEA_BUILD_EXAMPLES=OFF
    -DCMAKE_POLICY_VERSION_MINIMUM=3.5)  # CMake 4 wants it for the configurations of older packages
  if ! cmake "${flags[@]}"; then
    note '`cifar_trainer` is left out, for something that it needs is missing here (see build.log).' ''
    cmake "${flags[@]}" -DFOVEA_BUILD_TOOLS=OFF
  fi
  cmake --build "$build" -j "$jobs"
  note "For compute capability ${architecture}, toolkit $(toolkit_release "$nvcc"), cuDNN $(cudnn_version) from" \
    "$cudnn_libraries, $(g++ --version | head -1)."
}

stage_test() {
  need_gpu
  need_program fovea_bench
  # Without this, tests that find no device would pass on the CPU alone.
  "$build/bin/fovea_bench" --device=cuda --benchmark_list_tests=true >/dev/null
  local code=0
  # Those of the source tree and of the installed package show nothing about the device.
  ctest --test-dir "$build" -j "$((jobs < 8 ? jobs : 8))" -E '^(hygiene|install)_' --timeout 300 --output-on-failure \
    --no-tests=error || code=$?
  note "$(grep -E 'tests passed,' "$out/$stage.log" | tail -1)" ''
  sed -n 's/^ *[0-9]* - \(.*\) (\(.*\))$/- \1: \2/p' "$out/$stage.log" >>"$out/$stage.md"
  return $code
}

# The tests that launch kernels, but for those of a library's kernels and of whole networks.
kernel_tests() {
  sed -nE 's/^ *fovea_test\(([a-z0-9_]+) DEVICE.*/\1/p' "$root/tests/CMakeLists.txt" |
    grep -vE '^(conv|conv_cache|matmul|device_training|emulator|evaluator|parity|preactivation_conv|profile|stream)$'
}

# sanitize_one "TOOL TEST": a line "TOOL TEST RESULT SECONDS" in $out/sanitize.tsv.
sanitize_one() {
  local tool=${1% *} test=${1#* } begin=$SECONDS code=0 result left
  left=$((deadline - $(date +%s)))
  if [ "$left" -lt 5 ]; then
    result='no time left'
  else
    # Each block is to be one of CUDA's, neither used before nor filled. Tests that want errors of CUDA's functions
    # would be reported for them.
    local flags=(--tool "$tool" --error-exitcode 99 --print-limit 20)
    [ "$tool" != memcheck ] || flags+=(--report-api-errors no)
    FOVEA_KEEP_MEMORY=0 FOVEA_AUTOTUNE=0 timeout --kill-after=5 $((left < 150 ? left : 150)) compute-sanitizer \
      "${flags[@]}" "$build/tests/${test}_test" >"$out/sanitize-$tool-$test.log" 2>&1 || code=$?
    case $code in
      0) result=clean; rm "$out/sanitize-$tool-$test.log" ;;
      99) result=errors ;;
      124) result='no time left' ;;
      *) result="exit status $code" ;;
    esac
  fi
  printf '%s\t%s\t%s\t%d s\n' "$tool" "$test" "$result" $((SECONDS - begin)) | tee -a "$out/sanitize.tsv"
}

stage_sanitize() {
  need_gpu
  command -v compute-sanitizer >/dev/null || skip 'there is no compute-sanitizer'
  need_program fovea_bench
  local tool clean all failures test
  export deadline=$(($(date +%s) + $(limit_of sanitize) - 30)) out build
  export -f sanitize_one
  rm -f "$out"/sanitize*.tsv "$out"/sanitize-*.log
  for test in $(kernel_tests); do
    for tool in memcheck racecheck initcheck synccheck; do echo "$tool $test"; done
  done | xargs -P "$((jobs < 12 ? jobs : 12))" -d '\n' -I{} bash -c 'sanitize_one "$1"' _ {}
  note '| tool | clean | not clean | not finished |' '| --- | ---: | --- | --- |'
  for tool in memcheck racecheck initcheck synccheck; do
    all=$(grep "^$tool" "$out/sanitize.tsv")
    clean=$(grep -c $'\tclean\t' <<<"$all" || true)
    failures=$(grep -v $'\tclean\t\|\tno time left\t' <<<"$all" | cut -f2,3 | tr '\t' ' ' | paste -sd, || true)
    note "| $tool | $clean | ${failures:-none} | $(grep $'\tno time left\t' <<<"$all" | cut -f2 | paste -sd, || true) |"
  done
  if grep -qv $'\tclean\t\|\tno time left\t' "$out/sanitize.tsv"; then echo 'compute-sanitizer found errors'; return 1; fi
  if grep -q $'\tno time left\t' "$out/sanitize.tsv"; then echo 'some tests did not finish'; return 1; fi
}

# bench DTYPE SECONDS FILTER FILE: runs fovea_bench, and notes its table.
bench() {
  local code=0
  timeout --kill-after=10 "$2" "$build/bin/fovea_bench" --device=cuda --dtype="$1" --benchmark_filter="$3" \
    --benchmark_out="$out/$4" --benchmark_out_format=json || code=$?
  [ "$code" -ne 124 ] || note "Stopped after $2 s: some are missing." ''
  if [ -s "$out/$4" ] && command -v "$python" >/dev/null; then
    "$python" "$root/benchmarks/table.py" "$out/$4" >>"$out/$stage.md"
    note ''
  fi
  return $code
}

stage_bench() {
  need_gpu
  need_program fovea_bench
  local half=$((($(limit_of bench) - 20) / 2)) code=0
  bench bf16 $half '-^(train_step|inference)/' bench-bf16.json || code=$?
  bench f32 $half '-^(train_step|inference)/' bench-f32.json || code=$?
  return $code
}

stage_steps() {
  need_gpu
  need_program fovea_bench
  bench bf16 $(($(limit_of steps) - 20)) '^(train_step|inference)/(attention92|attention92_wide)/N:(128|512)/' \
    steps-bf16.json
}

need_torch() {
  "$python" -c 'import torch; assert torch.cuda.is_available()' 2>/dev/null ||
    skip "$python has no PyTorch that can use the GPU"
}

stage_torch_steps() {
  need_gpu
  need_program fovea_step_time
  need_torch
  local code=0 names
  read -ra names <<<"$models"
  "$python" "$root/benchmarks/peers/compare_torch.py" --program "$build/bin/fovea_step_time" --device cuda \
    --precision bf16 --models "${names[@]}" --modes train --batch "$batch" --rounds 3 --limit 400 \
    --out "$out/$stage-table.md" || code=$?
  [ ! -f "$out/$stage-table.md" ] || cat "$out/$stage-table.md" >>"$out/$stage.md"
  return $code
}

stage_torch_kernels() {
  need_gpu
  need_program fovea_bench
  need_torch
  local code=0 ours=(--program "$build/bin/fovea_bench")
  [ ! -s "$out/bench-bf16.json" ] || ours=(--fovea "$out/bench-bf16.json")
  "$python" "$root/benchmarks/peers/torch_kernels.py" "${ours[@]}" --device cuda --dtype bf16 \
    --out "$out/$stage-table.md" || code=$?
  [ ! -f "$out/$stage-table.md" ] || cat "$out/$stage-table.md" >>"$out/$stage.md"
  return $code
}

# shellcheck source=tools/cifar10.sh
source "$root/tools/cifar10.sh"
no_cifar10_reason() {
  if [ -d "$1" ]; then echo "$1 has no test_batch.bin"; else echo "$1 is no folder"; fi
}
find_data() {
  local folder
  for folder in "$data" "${FOVEA_DATA:-}" "${XDG_CACHE_HOME:-$HOME/.cache}/fovea"; do
    if has_cifar10 "$folder"; then
      echo "$folder"
      return
    fi
  done
}

# The value of a column in the last line of a run's metrics.csv.
last_metric() {
  awk -F, -v name="$2" 'NR == 1 { for (i = 1; i <= NF; ++i) if ($i == name) column = i } END { print $column }' \
    "$1/metrics.csv"
}

stage_train() {
  need_gpu
  [ -x "$build/bin/cifar_trainer" ] || skip "there is no cifar_trainer in $build: run the stage build, and see its log"
  local folder epochs seconds accuracy begin trainer
  folder=$(find_data)
  [ -n "$folder" ] || skip 'CIFAR-10 is not on this machine: name its folder with --data'
  trainer=("$build/bin/cifar_trainer" train --model "$model" --data "$folder" --device cuda --precision bf16)
  # Two epochs show how long one takes: the first one also chooses how to compute the convolutions.
  "${trainer[@]}" "${training_flags[@]}" --epochs 2 --out "$out/train-trial" --overwrite
  epochs=$(awk -F, -v minutes="$minutes" '
    NR == 1 { for (i = 1; i <= NF; ++i) if ($i == "seconds") column = i }
    NR > 1 { before = last; last = $column }
    END { seconds = last - before; if (seconds <= 0) seconds = 1; n = int(minutes * 60 / seconds); print n < 1 ? 1 : n }
  ' "$out/train-trial/metrics.csv")
  begin=$(date +%s)
  "${trainer[@]}" "${training_flags[@]}" --epochs "$epochs" --out "$out/train" --overwrite
  seconds=$(($(date +%s) - begin))
  accuracy=$(last_metric "$out/train" test_accuracy)
  cp "$out/train/summary.json" "$out/train.json"
  note "- $model, $epochs epochs in bf16, ${training_flags[*]}" \
    "- test accuracy $(awk -v a="$accuracy" 'BEGIN { printf "%.2f%%", 100 * a }')" \
    "- test loss $(last_metric "$out/train" test_loss)" \
    "- $(last_metric "$out/train" seconds) s by the run's own clock, $seconds s with start and end" \
    "- $(last_metric "$out/train" images_per_second) images/s"
}
