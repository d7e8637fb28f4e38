"""What the tests of tools/gpu_check share: pretended programs, images, and a folder for each test."""
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "tools"))
from gpu import pictures

# What the pretended programs do. $BROKEN names those that are to fail.
PRETENDED = {
    "cifar_trainer": r'''
case $1 in
  devices) echo "cpu     2 threads"; echo "cuda:0  Pretended"; echo "CUDA runtime 13.0, driver 13.0, cuDNN 9.19.0" ;;
  train)
    echo "fused '${FOVEA_FUSED:-}' $*" >>"$LOG"
    while [ "$1" != --out ]; do shift; done
    mkdir -p "$2"
    touch "$2/last.safetensors"
    echo epoch,train_loss,validation_loss,validation_accuracy,images_per_second,seconds >"$2/metrics.csv"
    echo 1,1.5,1.4,0.9321,9000,5 >>"$2/metrics.csv"
    echo '{"test_accuracy": 0.9111}' >"$2/summary.json"
    case $BROKEN in *slow*) sleep 60 ;; esac ;;
esac''',
    "fovea_bench": r'''
case $*:$BROKEN in
  *--help*) seq 10; exit ;;
  *:*device*) echo "fovea_bench: device: \"cuda\" cannot be used: there is no CUDA device" >&2; exit 4 ;;
  *list_tests*) echo one; exit ;;
esac
for word; do case $word in --benchmark_out=*) out=${word#*=} ;; esac; done
cat >"$out" <<'JSON'
{"context": {"device": "Pretended", "dtype": "bf16", "tf32": "off", "copy GB/s": "3000", "date": "2026-01-01"},
 "benchmarks": [{"name": "sgd_step/parameters:9", "real_time": 2.0, "time_unit": "us", "bytes": 99e6, "%copy": 91.5}]}
JSON''',
    "fovea_step_time": r'''
[ "$1" != --help ] || { seq 10; exit; }
echo "step fused '${FOVEA_FUSED:-}' $*" >>"$LOG"
while [ $# -gt 0 ]; do [ "$1" != --profile ] || printf '# Profile\n\n| conv | 1 |\n' >"$2"; shift; done
echo 'conv: trial of engines' >&2
echo '{"seconds": [0.05, 0.04, 0.06], "peak_memory_bytes": 1048576}' ''',
    "device_tests": r'''
case $* in
  --help) seq 10; exit ;;
  *--list-tags*) printf '  %s\n' '3  [#relu_test]' '12  [#parity_test]' '1  [#preactivation_conv_test]'; exit 0 ;;
esac
echo "$2 autotune '${FOVEA_AUTOTUNE:-}' golden '$FOVEA_GOLDEN_DIR'" >>"$LOG"
case $*:$BROKEN in
  *preactivation*:*product*) printf 'wrong by 3\ntest cases: 4 | 1 failed\nassertions: 9 | 2 failed\n'; exit 1 ;;
  *relu*:*hangs*) sleep 60 ;;
esac
echo 'All tests passed' ''',
    "python3": r'''
case $* in
  *importlib.util*) echo "$SITE/nvidia/cudnn/lib" ;;
  *importlib.metadata*) echo 'PyTorch 9.9' ;;
  *compile-only*) sleep 0.2; echo "compile $*" >>"$LOG"; case $BROKEN in *compiler*) echo 'no Triton'; exit 1 ;; esac ;;
  *compare_torch*)
    echo "libraries $LD_LIBRARY_PATH" >>"$LOG"
    while [ "$1" != --out ]; do shift; done
    echo '| attention92-wide | 1.23 |' >"$2" ;;
  *) exec "$PYTHON" "$@" ;;
esac''',
    "ncu": r'''
case $*:$BROKEN in *max_pool*counted*) echo '==ERROR== none'; exit 9 ;; esac
echo '==PROF== Connected to process 1'
cat <<'CSV'
"ID","Kernel Name","gpu__time_duration.sum","sm__throughput.avg.pct_of_peak_sustained_elapsed",\
"smsp__average_warps_issue_stalled_wait_per_issue_active.ratio",\
"smsp__average_warps_issue_stalled_long_scoreboard_per_issue_active.ratio"
"","","us","%","inst","inst"
"0","forward_kernel<bf16, 64>(Tensor)","1,234.5","40.1","1.5","7.25"
CSV'''.replace("\\\n", ""),
    "nvidia-smi": "echo 'Pretended H100, 580.1, 81559 MiB'",
    "compute-sanitizer": "case $* in *racecheck*upsample*) exit 99 ;; esac",
}


def write_batches(folder, images=7):
    """Batches like CIFAR-10's, of a few random images."""
    draw = random.Random(1)
    folder.mkdir(parents=True)
    (folder / pictures.NAMES).write_text("airplane\nautomobile\n", encoding="utf-8")
    for name in pictures.BATCHES:
        records = [bytes([draw.randrange(10)]) + draw.randbytes(3 * pictures.PLANE) for _ in range(images)]
        (folder / name).write_bytes(b"".join(records))


def without_settings(environment):
    """What the caller has set for Fovea does not matter here."""
    return {name: value for name, value in environment.items() if not name.startswith("FOVEA_")}


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)

    def run_check(self, *words, status=0, environment=None):
        answer = subprocess.run([sys.executable, str(ROOT / "tools/gpu_check"), *map(str, words)],
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                                env={**without_settings(os.environ), **(environment or {})})
        self.assertEqual(answer.returncode, status, answer.stdout)
        return answer.stdout
