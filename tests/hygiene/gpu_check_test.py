#!/usr/bin/env python3
"""Runs tools/gpu_check with pretended programs: images there and back bit for bit, what is packed and how much may
travel, the three calls with their limits and reports, parts that fail, and what it says when it cannot go on.

usage: gpu_check_test.py SOURCE_FOLDER
"""
import contextlib
import io
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import types
import unittest
import zlib

SOURCE = pathlib.Path(sys.argv.pop(1)).resolve()
sys.dont_write_bytecode = True
sys.path.insert(0, str(SOURCE / "tools"))
from gpu import measure, pack, parts, pictures, session  # noqa: E402

DEBIAN = "/usr/bin/python3"  # whose packages have Pillow, where another Python is first in PATH
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
    echo epoch,train_loss,test_loss,test_accuracy,images_per_second,seconds >"$2/metrics.csv"
    echo 1,1.5,1.4,0.9321,9000,5 >>"$2/metrics.csv"
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
  *--list-test-names-only*) seq 10; exit 10 ;;
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


class Plain:
    """Stands in for Pillow where there is none: the same calls, and files of zlib's."""

    class Picture:
        def __init__(self, mode, size, data=None):
            self.mode, self.size = mode, size
            self.data = bytearray(data if data is not None else bytes(size[0] * size[1]))

        def paste(self, other, place):
            for row in range(other.size[1]):
                begin = (place[1] + row) * self.size[0] + place[0]
                self.data[begin:begin + other.size[0]] = other.data[row * other.size[0]:(row + 1) * other.size[0]]

        def crop(self, box):
            left, top, right, bottom = box
            rows = (self.data[y * self.size[0] + left:y * self.size[0] + right] for y in range(top, bottom))
            return Plain.Picture("L", (right - left, bottom - top), b"".join(rows))

        def tobytes(self):
            return bytes(self.data)

        def save(self, path, *_, **__):
            pathlib.Path(path).write_bytes(zlib.compress(json.dumps(self.size).encode() + b"\n" + self.data))

        def convert(self, _):
            return self

        def split(self):
            count = self.size[0] * self.size[1]
            return [Plain.Picture("L", self.size, self.data[i * count:(i + 1) * count]) for i in range(3)]

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    new = staticmethod(lambda mode, size: Plain.Picture(mode, size))
    frombytes = staticmethod(lambda mode, size, data: Plain.Picture(mode, size, data))
    merge = staticmethod(lambda mode, planes: Plain.Picture(mode, planes[0].size, b"".join(p.data for p in planes)))

    @staticmethod
    def open(path):
        size, _, data = zlib.decompress(pathlib.Path(path).read_bytes()).partition(b"\n")
        return Plain.Picture("RGB", json.loads(size), data)


def has_pillow():
    try:
        pictures.pillow()
        return True
    except pictures.DataError:
        return False


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)

    def run_check(self, *words, status=0, environment=None):
        answer = subprocess.run([sys.executable, str(SOURCE / "tools/gpu_check"), *map(str, words)],
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                                env={**os.environ, **(environment or {})})
        self.assertEqual(answer.returncode, status, answer.stdout)
        return answer.stdout


class Pictures(Case):
    def there_and_back(self):
        source, halves = self.folder / "source", [self.folder / "half-1", self.folder / "half-2"]
        write_batches(source)
        names = pictures.write_pictures(source, halves[1], images=3)
        self.assertEqual(len(names), 18)
        halves[0].mkdir()
        for name in names[:7]:
            (halves[1] / name).rename(halves[0] / name)
        pictures.read_pictures(halves, self.folder / "out")
        for name in [*pictures.BATCHES, pictures.NAMES]:
            self.assertEqual((source / name).read_bytes(), (self.folder / "out" / name).read_bytes(), name)
        # A picture that is another, and one that is not there.
        shutil.copy(halves[1] / names[10], halves[0] / names[0])
        with self.assertRaisesRegex(pictures.DataError, "data_batch_1.bin has SHA-256 .*, wanted"):
            pictures.read_pictures(halves, self.folder / "out")
        (halves[0] / names[0]).unlink()
        with self.assertRaisesRegex(pictures.DataError, f"{names[0]} is missing .* carry both halves"):
            pictures.read_pictures(halves, self.folder / "out")

    def test_with_a_pretended_pillow(self):
        real, pictures.pillow = pictures.pillow, lambda: Plain
        try:
            self.there_and_back()
        finally:
            pictures.pillow = real

    @unittest.skipUnless(has_pillow(), "no Python here has Pillow: install python3-pil")
    def test_with_pillow(self):
        self.there_and_back()

    def test_what_is_no_batch(self):
        source = self.folder / "source"
        write_batches(source)
        (source / pictures.BATCHES[2]).write_bytes(bytes(5000))
        real, pictures.pillow = pictures.pillow, lambda: Plain
        self.addCleanup(setattr, pictures, "pillow", real)
        with self.assertRaisesRegex(pictures.DataError, "data_batch_3.bin is no batch of CIFAR-10: 5000 bytes"):
            pictures.write_pictures(source, self.folder / "half")


class Pack(Case):
    def setUp(self):
        super().setUp()
        self.build, self.packed = self.folder / "build", self.folder / "packed"
        for program in pack.PROGRAMS:
            (self.build / program).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(shutil.which("true"), self.build / program)

    def pack(self, *words, **settings):
        return self.run_check("pack", self.packed, "--no-build", "--build", self.build, *words, **settings)

    def test_programs(self):
        said = self.pack("--without-data")
        with tarfile.open(self.packed / pack.ARCHIVE) as tar:
            names = tar.getnames()
        for program in ("cifar_trainer", "fovea_bench", "fovea_step_time", "device_tests"):
            self.assertIn(f"programs/{program}", names)
        self.assertFalse([name for name in names if "libc.so" in name])
        self.assertRegex(said, r"call 1 carries \d+\.\d MiB: tree \d+\.\d, programs.tar.xz \d+\.\d, half-1 0\.0")
        self.assertIn("call 3 carries", said)

    def test_limit(self):
        said = self.pack("--without-data", "--limit-mib", "0.5", status=2)
        self.assertRegex(said, r"gpu_check: call 1 carries .* MiB, .*call 3 carries .* MiB, wanted at most 0.5")

    def test_what_is_missing(self):
        said = self.pack("--data", self.folder, status=2)
        self.assertIn(f"CIFAR-10 is not in {self.folder}: there is no test_batch.bin", said)
        (self.build / pack.PROGRAMS[0]).unlink()
        self.assertIn("there is no", self.pack("--without-data", status=2))
        (self.packed / "mine").touch()
        self.assertIn("has mine, which is no part of a packed folder", self.pack("--without-data", status=2))

    def test_no_pillow(self):
        write_batches(self.folder / "data")
        (self.folder / "PIL.py").write_text("raise ImportError\n", encoding="utf-8")
        said = self.pack("--data", self.folder / "data", status=2, environment={"PYTHONPATH": str(self.folder)})
        self.assertIn("pictures need Pillow, which this Python lacks: `python3 -m pip install pillow`", said)

    def test_libraries(self):
        for name in ("libc.so.6", "libm.so.6", "ld-linux-x86-64.so.2", "libcudnn.so.9", "libcublasLt.so.13"):
            self.assertTrue(pack.LEFT_TO_THE_MACHINE.match(name), name)
        for name in ("libstdc++.so.6", "libgcc_s.so.1", "libgomp.so.1", "libcurl.so.4", "libcrypto.so.3"):
            self.assertFalse(pack.LEFT_TO_THE_MACHINE.match(name), name)

    def test_halves(self):
        sizes = {name: 10 for name in "abcdefgh"}
        self.assertEqual(pack.share(sizes, sizes, ahead=0), list("abcd"))
        self.assertEqual(pack.share(sizes, sizes, ahead=20), list("abc"))
        self.assertEqual(pack.share(sizes, sizes, ahead=100), [])


class Run(Case):
    def setUp(self):
        super().setUp()
        self.log, self.out, self.work = (self.folder / name for name in ("log", "out", "work"))
        programs, bin_folder, packed = (self.folder / name for name in ("programs", "bin", "packed"))
        for folder in (programs, bin_folder, packed / "half-1", packed / "half-2", self.out):
            folder.mkdir(parents=True)
        for name, text in PRETENDED.items():
            place = bin_folder if name in ("python3", "nvidia-smi", "compute-sanitizer") else programs
            (place / name).write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
            (place / name).chmod(0o755)
        with tarfile.open(packed / pack.ARCHIVE, "w:xz") as tar:
            tar.add(programs, "programs")
        write_batches(self.folder / "data")
        self.log.touch()
        self.packed, self.bin = packed, bin_folder

    def call(self, number, *words, broken="", status=0):
        environment = {"PATH": f"{self.bin}:{os.environ['PATH']}", "LOG": str(self.log), "BROKEN": broken,
                       "OUT": str(self.out), "SITE": "/site", "PYTHON": sys.executable, "LD_LIBRARY_PATH": "/before"}
        said = self.run_check("run", number, "--pack", self.packed, "--work", self.work, "--python", "python3",
                              *words, status=status, environment=environment)
        self.assertLessEqual(len(list(self.out.iterdir())), 8)
        self.report = (self.out / "report.md").read_text(encoding="utf-8")
        table = self.report.split("\n")[-41:]
        self.assertTrue(any(line.startswith("| call | part | result") for line in table), self.report)
        return said

    def assert_row(self, call, part, result):
        rows = [line for line in self.report.splitlines()[-40:] if line.startswith(f"| {call} | {part} | ")]
        self.assertEqual(len(rows), 1, self.report)
        self.assertIn(f"| {result}", rows[0])

    def test_three_calls(self):
        self.call("1")
        for part in ("unpack", "versions", "compile", "tests", "compiled", "step-wide", "step-attention92"):
            self.assert_row(1, part, "passed")
        self.assert_row(1, "engines", "not run: no engine was chosen")
        for words in ("GPU: Pretended H100", "cuDNN 9.19.0", "PyTorch 9.9", "5 of 5 subjects passed (16 tests)",
                      "**50.00 ms, 10240 images/s**", "| conv | 1 |"):
            self.assertIn(words, self.report)
        log = self.log.read_text(encoding="utf-8")
        self.assertIn(f"[#relu_test] autotune '0' golden '{SOURCE}/tests/golden'", log)
        self.assertIn("conv: a device gives* autotune ''", log)
        self.assertIn("--compile-only --ways compiled", log)

        (self.work / "engines").mkdir()
        (self.work / "engines" / "H100.json").write_text("{}", encoding="utf-8")
        self.call("2", "--data", self.folder / "data", "--drop", "data")
        epochs = measure.epochs_for(measure.TRAINING_SECONDS, 0.05)
        self.assertIn(f"attention92-wide, 1 of {epochs} epochs in bf16", self.report)
        self.assertIn("| 1 | 1.5 | 1.4 | 0.9321 | 9000 | 5 |", self.report)
        self.assertIn("| sgd_step | parameters:9 | 2.0 |", self.report)
        self.assertIn("fused '' train --model attention92-wide", self.log.read_text(encoding="utf-8"))

        self.call("3", status=1)
        self.assert_row(3, "torch", "passed")
        self.assert_row(3, "sanitize", "failed: not clean: racecheck upsample")
        self.assertIn("| racecheck | 4 | upsample: errors | none |", self.report)
        self.assertIn("| attention92-wide | 1.23 |", self.report)
        self.assertIn("libraries /site/nvidia/cudnn/lib:/before", self.log.read_text(encoding="utf-8"))
        self.assert_row(1, "tests", "passed")  # of the call before
        with tarfile.open(self.out / "results.tar.gz") as tar:
            names = tar.getnames()
        for name in ("report.md", "results/1-tests-parity.log", "results/3-engines-choices/H100.json",
                     "results/2-train-run/metrics.csv", "results/2-bench-bf16.json", "results/parts/1-tests.json"):
            self.assertIn(name, names)
        self.assertFalse([name for name in names if name.endswith("safetensors")])

    def test_failures(self):
        said = self.call("1", "--drop", "step-attention92", broken="product compiler", status=1)
        self.assert_row(1, "tests", "failed: 1 of 5 subjects: preactivation_conv")
        self.assert_row(1, "compiled", "failed: exit status 1: no Triton")
        self.assert_row(1, "step-wide", "passed")
        self.assertIn("- preactivation_conv: test cases: 4 / 1 failed; assertions: 9 / 2 failed",
                      self.report.replace("|", "/"))
        self.assertIn("wrong by 3", self.report)
        self.assertIn("gpu_check: tests failed: 1 of 5 subjects", said)
        self.call("2", "--parts", "train", "--data", self.folder / "data")
        log = self.log.read_text(encoding="utf-8")
        self.assertIn("fused '0' train", log)
        self.assertIn("step fused '0'", log)
        self.assertIn("FOVEA_FUSED=0: the tests of the fused products have failed", self.report)

    def test_no_device(self):
        self.call("1", "--drop", "compile", broken="device", status=1)
        message = 'failed: exit status 4: fovea_bench: device: "cuda" cannot be used: there is no CUDA device'
        self.assert_row(1, "versions", message)
        self.assert_row(1, "tests", message)
        self.assertNotIn("#relu_test", self.log.read_text(encoding="utf-8"))

    def test_limits(self):
        begin = time.monotonic()
        self.call("1", "--parts", "unpack", "tests", "step-wide", "--seconds", "12", broken="hangs", status=1)
        self.assertLess(time.monotonic() - begin, 30)
        self.assert_row(1, "tests", "failed: 1 of 5 subjects: relu")
        self.assertIn("- relu: stopped at its limit of", self.report)
        self.assert_row(1, "step-wide", "not run: no time is left in this call")
        # A run that is cut still tells what it has reached.
        self.call("2", "--parts", "train", "--data", self.folder / "data", "--seconds", "11", broken="slow", status=1)
        self.assert_row(2, "train", "failed: stopped at its limit of 3 s")
        self.assertIn("| 1 | 1.5 | 1.4 | 0.9321 | 9000 | 5 |", self.report)

    def test_nothing_carried(self):
        (self.packed / pack.ARCHIVE).unlink()
        self.call("2", "--drop", "bench", status=1)
        self.assert_row(2, "unpack", "failed: there is no")
        self.assert_row(2, "data", "failed: there is no pictures.json in")
        self.assert_row(2, "train", "not run: CIFAR-10 is not in")
        self.assertIn("call 1 has no part 'test'", self.run_check("run", "1", "--parts", "test", status=2))


class Small(Case):
    def test_epochs(self):
        self.assertEqual(measure.epochs_for(120, 0.048), 22)
        self.assertEqual(measure.epochs_for(1, 10), 1)
        self.assertEqual(measure.epochs_for(120, None), measure.EPOCHS_WITHOUT_A_TIME)

    def test_one_part_after_another_that_raises(self):
        this = session.Session("1", self.folder / "work", self.folder / "out", 60, dict(os.environ))
        with contextlib.redirect_stdout(io.StringIO()):
            self.assertFalse(this.do("first", lambda _: 1 / 0, 5))
            self.assertTrue(this.do("second", lambda _: "- found", 5))
        self.assertIn("| 1 | first | failed: ZeroDivisionError: division by zero |", "\n".join(this.table))
        self.assertIn("## second\n\n- found", (self.folder / "out" / "report.md").read_text(encoding="utf-8"))

    def test_the_end_of_a_long_file_comes_back(self):
        this = session.Session("1", self.folder / "work", self.folder / "out", 60, {})
        (this.results / "long").write_bytes(b"begin" + bytes(session.KEPT_OF_A_FILE) + b"end")
        this.write()
        with tarfile.open(self.folder / "out" / "results.tar.gz") as tar:
            data = tar.extractfile("results/long").read()
        self.assertEqual(len(data), session.KEPT_OF_A_FILE)
        self.assertTrue(data.endswith(b"end"))

    def test_a_process_takes_what_it_has_started_with_it(self):
        this = session.Session("1", self.folder / "work", self.folder / "out", 60, dict(os.environ))
        this.part = "one"
        marker = self.folder / "marker"
        outcome = this.run(["sh", "-c", f"(trap '' TERM; sleep 2; touch {marker}) & sleep 60"], limit=0.5)
        self.assertIsNone(outcome.code)
        time.sleep(2.5)
        self.assertFalse(marker.exists())

    def test_subjects(self):
        machine = types.SimpleNamespace(work=self.folder)
        self.assertEqual(parts.unfused(machine), {})
        parts.write_failures(machine, ["relu"])
        self.assertEqual(parts.unfused(machine), {})
        parts.write_failures(machine, ["preactivation_pointwise", "relu"])
        self.assertEqual(parts.unfused(machine), {"FOVEA_FUSED": "0"})


if __name__ == "__main__":
    if not has_pillow() and DEBIAN != sys.executable and os.access(DEBIAN, os.X_OK):
        os.execv(DEBIAN, [DEBIAN, __file__, str(SOURCE), *sys.argv[1:]])
    unittest.main()
