#!/usr/bin/env bash
# Runs the scripts of benchmarks/peers that compare with other libraries, with pretended ones: who is asked for what,
# the ratios, what is left out, what is installed. What Fovea hands over to them is real.
# usage: peers_test.sh SOURCE_FOLDER PYTHON FOVEA_STEP_TIME
set -euo pipefail
peers=$1/benchmarks/peers
python=$2
step_time=$3
system=$(mktemp -d)
trap 'rm -rf "$system"' EXIT
export PYTHONDONTWRITEBYTECODE=1

fail() {
  echo "peers_test: $*" >&2
  exit 1
}
# run STATUS WORDS COMMAND...: the command ends with that exit status, and its output has WORDS.
run() {
  local wanted=$1 words=$2 status=0
  shift 2
  output=$("$@" 2>&1) || status=$?
  [ "$status" -eq "$wanted" ] || fail "'$*' ended with $status, wanted $wanted, and said '$output'"
  grep -qF -- "$words" <<<"$output" || fail "'$*' said '$output', wanted '$words'"
}
log_has() { grep -qF -- "$1" "$system/log" || fail "no '$1' in the log: $(cat "$system/log")"; }
log_lacks() { ! grep -qF -- "$1" "$system/log" || fail "'$1' is in the log: $(cat "$system/log")"; }
pretend() {
  printf '#!%s\n%s\n' "$(command -v bash)" "$2" >"$system/$1"
  chmod +x "$system/$1"
}

# What is handed over: whole, the same in every process, and compared.
for mode in train inference; do
  for copy in 1 2; do
    "$step_time" --mode $mode --batch 2 --threads $copy --hand-over "$system/$mode-$copy"
  done
  cmp "$system/$mode-1" "$system/$mode-2"
done
run 2 'wanted --device cpu and --precision f32' "$step_time" --precision bf16 --hand-over "$system/none"
cat >"$system/agree.py" <<'END_OF_PYTHON'
import sys
sys.path.insert(0, sys.argv[1])
from handover import HandedOver
what, change = sys.argv[3], float(sys.argv[4])
handed_over = HandedOver(sys.argv[2])
numbers = handed_over.numbers(what)
print(what, handed_over.read("model.stem.weight")[1], handed_over.read("images")[1], handed_over.read("labels")[:2],
      len(numbers))
numbers[-1] += change * max(map(abs, numbers))
handed_over.agree(what, numbers)
END_OF_PYTHON
agree() { run "$1" "$2" "$python" "$system/agree.py" "$peers" "$system/$3-1" "$4" "$5"; }
agree 0 "logits [16, 3, 3, 3] [2, 32, 32, 3] ('I32', [2]) 20" inference logits 1e-3
agree 0 "losses [16, 3, 3, 3] [2, 32, 32, 3] ('I32', [2]) 2" train losses 5e-4
agree 3 "logits[19] is" inference logits 4e-3
agree 3 "losses[1] is" train losses 2e-3
agree 3 "logits[19] is nan, Fovea's is" inference logits nan

# How a peer answers.
cat >"$system/answer.py" <<'END_OF_PYTHON'
import argparse, sys
sys.path.insert(0, sys.argv.pop(1))
from answer import add_on_request, answer, peak_resident_bytes
parser = argparse.ArgumentParser()
parser.add_argument("--batch")
add_on_request(parser)
times = iter([1, 2, 3])
answer(parser.parse_args(), ["batch"], lambda: {"time": next(times), "has_memory": peak_resident_bytes() > 1 << 20})
END_OF_PYTHON
answers() { run 0 "$1" "$python" "$system/answer.py" "$peers" --batch 4 "${@:2}"; }
line='{"batch": "4", "time": 1, "has_memory": true}'
answers "$line" <<<'not read'
[ "$output" = "$line" ] || fail "a peer that is not to wait said '$output'"
answers "$line" --on-request yes <<<$'time\ntime'
[ "$output" = "$line"$'\n'"${line/1/2}" ] || fail "a peer that was asked twice said '$output'"
answers '' --on-request yes </dev/null
[ -z "$output" ] || fail "a peer that was not asked said '$output'"

# The table. Seconds and memory of each contender are in its answer.
answer() {
  echo "while read -r line; do
    echo '{\"seconds\": ['$1'], \"peak_memory_bytes\": $(($2 << 20)), $3}'
  done"
}
pretend fovea "echo \"fovea \$*\" >>$system/log
case \$* in *--hand-over*) touch \"\${!#}\"; exit ;; esac
$(answer 0.1 100 '"threads": 2')"
pretend old "[ \"\$1\" != -c ] || { echo '{\"torch\": \"1.13.0\", \"compiles\": false, \"runtimes\": {}}'; exit; }
echo \"old \$*\" >>$system/log
$(answer 0.4 150 '"torch": "1.13.0", "start_memory_bytes": 10485760')"
pretend new "[ \"\$1\" != -c ] || { echo '{\"torch\": \"9.9+cpu\", \"compiles\": true, \"runtimes\": {\"onnxruntime\": \"1.9\", \"openvino\": \"2.9\"}}'; exit; }
echo \"new \$*\" >>$system/log
case \$* in
  *'compiled --layout contiguous'*) seconds=0.2 ;;
  *'openvino'*bf16*) seconds=0.2 ;;
  *exported_step_time*) seconds=0.05 ;;
  *) seconds=0.8 ;;
esac
$(answer '$seconds' 400 '"torch": "9.9+cpu"')"
compare() {
  : >"$system/log"
  run "$1" "$2" "$python" "$peers/compare_torch.py" --settle 0 --program "$system/fovea" --python "$system/old" \
    --models tiny --batch 4 --rounds 2 --threads 2 "${@:3}"
}
speeds='4 | 40.0 | 10.0 | 10.0 | 5.0 | 5.0 | 5.0 | 20.0'
memory='100 | 400 | 0.25 | 150 |'
compare 0 "| tiny | train | $speeds | - | - | **2.00** | - | - | $memory" --python "$system/new" --out "$system/table.md"
for words in "| tiny | inference | $speeds | 80.0 | 80.0 | **2.00** | **0.50** | **0.50** | $memory" 'medians of 10 times' \
  'PyTorch 9.9 compiled contiguous, images/s | ONNX Runtime 1.9, images/s | OpenVINO 2.9, images/s | Fovea / best PyTorch' \
  'PyTorch 1.13.0 takes 10 MiB without a model'; do
  grep -qF -- "$words" "$system/table.md" || fail "no '$words' in $(cat "$system/table.md")"
done
! grep 'left out' "$system/table.md" || fail 'a way that an old PyTorch does not have was asked for'
log_has "--way compiled --layout channels-last --model tiny --mode train --batch 4 --device cpu"
log_has 'new '"$peers"'/exported_step_time.py --runtime onnxruntime --model tiny --mode inference --batch 4'
log_lacks "old $peers/torch_step_time.py --way compiled"
log_lacks 'exported_step_time.py --runtime onnxruntime --model tiny --mode train'
log_has '--same-as /'

# In bf16 the others may take f32, too.
compare 0 '| tiny | inference | 4 | 40.0 | 10.0 | 10.0 | 5.0 | 5.0 | 80.0 | 20.0 | 80.0 | **4.00** | **0.50** | **2.00** | **0.50** |' --python "$system/new" \
  --precision bf16 --modes inference --ways eager --layouts channels-last --out "$system/table.md"
compare 0 'compiling it in 2 ways' --python "$system/new" --modes train --compile-only
compare 0 '| attention-nano | inference | 4 | 40.0 | 10.0 | 10.0 | **4.00** |' --quick --models attention-nano
pretend bare 'echo "No module named torch" >&2; exit 1'
compare 1 "left out: $system/bare: No module named torch" --python "$system/bare" --modes train
log_has 'old'
pretend broken "$(sed -n 2,3p "$system/new")
case \$* in *channels-last*) echo 'logits[0] is 1, wanted 2' >&2; exit 3 ;; esac
$(answer 0.2 400 '"torch": "9.9"')"
compare 1 'left out: PyTorch 9.9 eager channels-last, tiny inference 4: logits[0] is 1, wanted 2' \
  --python "$system/broken" --modes inference --ways eager
pretend fovea 'exit 5'
compare 1 'Fovea hands no work over'

# What is installed, and stand-ins for CUDA's libraries.
mkdir -p "$system/packages/torch-9.9.dist-info"
printf '%s\n' 'Metadata-Version: 2.1' 'Name: torch' 'Version: 9.9' 'Requires-Dist: sympy>=1.13' \
  'Requires-Dist: cuda-toolkit[cublas,cudart]==13.2.2; platform_system == "Linux"' \
  'Requires-Dist: nvidia-cudnn-cu13==9.26; platform_system == "Linux"' 'Requires-Dist: triton~=3.9' \
  'Requires-Dist: pyyaml; extra == "pyyaml"' >"$system/packages/torch-9.9.dist-info/METADATA"
printf '%s\n' '__version__ = "9.9"' 'class ones:' '    __init__ = lambda self, *size: None' \
  '    __matmul__ = lambda self, other: self' '    sum = lambda self: self' '    item = lambda self: 512' \
  >"$system/packages/torch.py"
echo '__version__ = "1.9"' >"$system/packages/onnxruntime.py"
echo '__version__ = "2.9"' >"$system/packages/openvino.py"
pretend venv-python "echo \"python \$*\" >>$system/log
case \$1 in
  -m) [ \"\$2\" != venv ] || { mkdir -p \"\$3/bin\"; cp \"\$0\" \"\$3/bin/python\"; } ;;
  -) PYTHONPATH=$system/packages exec $python - ;;
esac"
: >"$system/log"
run 0 'PyTorch 9.9, ONNX Runtime 1.9, OpenVINO 2.9 are there' "$peers/install.sh" "$system/installed" "$system/venv-python"
log_has '--no-deps --upgrade torch'
log_has 'sympy>=1.13 cuda-toolkit[cudart,cufile,cupti]==13.2.2; platform_system == "Linux" numpy onnx onnxscript onnx'
log_has "python $peers/stub_cuda.py"
log_lacks cudnn
run 2 'usage: benchmarks/peers/install.sh DIR' "$peers/install.sh"
run 1 'there is no pretended-python' "$peers/install.sh" "$system/installed" pretended-python

libraries=$system/site/torch/lib
mkdir -p "$libraries"
build() { cc -shared -fPIC -w -x c -o "$libraries/$1" - "${@:2}"; }
echo 'CUDNN { };' >"$system/version"
echo 'int cudnnMake(void) { return 1; }' |
  build libcudnn.so.9 -Wl,-soname,libcudnn.so.9 "-Wl,--version-script=$system/version"
echo 'int ncclMake(void) { return 1; }' | build libnccl.so.2 -Wl,-soname,libnccl.so.2
echo 'int cudnnMake(void); int ncclMake(void); int use(void) { return cudnnMake() + ncclMake(); }' | build libtorch_python.so -x none \
  "$libraries/libcudnn.so.9" "$libraries/libnccl.so.2" '-Wl,-rpath,$ORIGIN'
echo 'int nothing;' | build libtorch_global_deps.so
rm "$libraries/libcudnn.so.9" "$libraries/libnccl.so.2"
run 0 'stand-ins for 2 CUDA libraries: libcudnn.so.9, libnccl.so.2' "$python" "$peers/stub_cuda.py" "$system/site"
run 0 loaded "$python" -c "import ctypes; ctypes.CDLL('$libraries/libtorch_python.so'); print('loaded')"
echo "peers_test: passed"
