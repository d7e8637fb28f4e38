#!/usr/bin/env python3
"""Runs `tools/gpu_check run` with pretended programs: the three calls with their limits and reports, parts that fail,
and the same for a machine of one's own. FOVEA_BENCH_EMULATED, where it is built, says what its filter matches.

usage: gpu_check_test.py [FOVEA_BENCH_EMULATED]
"""
import contextlib
import io
import os
import subprocess
import sys
import tarfile
import time
import types
import unittest

sys.dont_write_bytecode = True
from gpu_pretended import PRETENDED, ROOT, Case, write_batches
from gpu import measure, pack, parts, session

BENCH = sys.argv.pop(1) if len(sys.argv) > 1 and sys.argv[1].startswith("/") else None


class Pretended(Case):
    """A machine with a GPU."""

    def setUp(self):
        super().setUp()
        self.log, self.out, self.work, self.site = (self.folder / name for name in ("log", "out", "work", "site"))
        programs, bin_folder, packed = (self.folder / name for name in ("programs", "bin", "packed"))
        for folder in (programs, bin_folder, packed / "half-1", packed / "half-2", self.out):
            folder.mkdir(parents=True)
        for name, text in PRETENDED.items():
            place = bin_folder if name in ("python3", "nvidia-smi", "ncu", "compute-sanitizer") else programs
            (place / name).write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
            (place / name).chmod(0o755)
        with tarfile.open(packed / pack.ARCHIVE, "w:xz") as tar:
            tar.add(programs, "programs")
        write_batches(self.folder / "data")
        self.log.touch()
        self.packed, self.bin = packed, bin_folder

    def call(self, number, *words, broken="", status=0):
        environment = {"PATH": f"{self.bin}:{os.environ['PATH']}", "LOG": str(self.log), "BROKEN": broken,
                       "OUT": str(self.out), "SITE": str(self.site), "PYTHON": sys.executable,
                       "LD_LIBRARY_PATH": "/before"}
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


class Run(Pretended):
    def test_three_calls(self):
        self.call("1")
        for part in ("unpack", "versions", "compile", "tests", "compiled", "step-wide", "counters",
                     "step-attention92"):
            self.assert_row(1, part, "passed")
        self.assert_row(1, "engines", "not run: no engine was chosen")
        for words in ("GPU: Pretended H100", "cuDNN 9.19.0", "PyTorch 9.9", "5 of 5 subjects passed (16 tests)",
                      "**50.00 ms, 10240 images/s**", "| conv | 1 |",
                      "| attention_merge_backward/N:2048/ | forward_kernel<bf16, 64> | 1234.5 | - | 40.1 | - | - | "
                      "long_scoreboard 7.2, wait 1.5 |"):
            self.assertIn(words, self.report)
        log = self.log.read_text(encoding="utf-8")
        self.assertIn(f"[#relu_test] autotune '0' golden '{ROOT}/tests/golden'", log)
        self.assertIn("conv: a device gives* autotune ''", log)
        self.assertIn("--compile-only --ways compiled", log)

        (self.work / "engines").mkdir()
        (self.work / "engines" / "H100.json").write_text("{}", encoding="utf-8")
        self.call("2", "--data", self.folder / "data", "--drop", "data")
        epochs = measure.epochs_for(measure.TRAINING_SECONDS, 0.05)
        self.assertIn(f"attention92-wide, 1 of {epochs} epochs in bf16", self.report)
        self.assertIn("| 1 | 1.5 | 1.4 | 0.9321 | 9000 | 5 |", self.report)
        self.assertIn("Test accuracy 0.9111", self.report)
        self.assertIn("| sgd_step | parameters:9 | 2.0 |", self.report)
        self.assertIn("fused '' train --model attention92-wide", self.log.read_text(encoding="utf-8"))

        self.call("3", status=1)
        self.assert_row(3, "torch", "passed")
        self.assert_row(3, "sanitize", "failed: not clean: racecheck upsample")
        self.assertIn("| racecheck | 4 | upsample: errors | none |", self.report)
        self.assertIn("| attention92-wide | 1.23 |", self.report)
        self.assertIn(f"libraries {self.site}/nvidia/cudnn/lib:/before", self.log.read_text(encoding="utf-8"))
        self.assert_row(1, "tests", "passed")  # of the call before
        with tarfile.open(self.out / "results.tar.gz") as tar:
            names = tar.getnames()
        for name in ("report.md", "results/1-tests-parity.log", "results/3-engines-choices/H100.json",
                     "results/2-train-run/metrics.csv", "results/2-bench-bf16.json", "results/parts/1-tests.json"):
            self.assertIn(name, names)
        self.assertFalse([name for name in names if name.endswith("safetensors")])

    def test_failures(self):
        said = self.call("1", "--drop", "step-attention92", broken="product compiler counted", status=1)
        self.assert_row(1, "counters", "failed: ncu counted nothing of max_pool_forward/N:2048/: exit status 9: ==ERR")
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
        self.assertIn("Test accuracy 0.9111", self.report)

    def test_nothing_carried(self):
        (self.packed / pack.ARCHIVE).unlink()
        self.call("2", "--drop", "bench", status=1)
        self.assert_row(2, "unpack", "failed: there is no")
        self.assert_row(2, "data", "failed: there is no pictures.json in")
        self.assert_row(2, "train", "not run: CIFAR-10 is not in")
        self.assertIn("call 1 has no part 'test'", self.run_check("run", "1", "--parts", "test", status=2))


class RunAll(Pretended):
    """A machine of one's own: the same pretended programs, which a pretended cmake builds."""

    def setUp(self):
        super().setUp()
        self.site, self.build = self.folder / "site", self.folder / "build"
        (self.site / "nvidia/cudnn/include").mkdir(parents=True)
        (self.site / "nvidia/cudnn/include/cudnn_version.h").touch()
        programs = self.folder / "programs"
        for name, text in {
                "nvidia-smi": "case $* in *compute_cap*) echo 9.0 ;; *) echo Pretended ;; esac",
                "cmake": f'echo "cmake $*" >>"$LOG"; mkdir -p {self.build}/bin {self.build}/tests; cp {programs}/* '
                         f"{self.build}/bin; cp {programs}/* {self.build}/tests",
                "ctest": "case $BROKEN in *product*) echo '  7 - preactivation_conv (Failed)'; exit 8 ;; esac; echo "
                         "'100% tests passed, 0 tests failed out of 3'",
                "nvcc": ":"}.items():
            (self.bin / name).write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
            (self.bin / name).chmod(0o755)

    def all(self, *words, **settings):
        return self.call("all", "--build", self.build, "--data", self.folder / "data", *words, **settings)

    def test_all(self):
        self.all("--minutes", 3, status=1)
        for part in ("build", "versions", "tests", "step-wide", "bench-bf16", "bench-f32", "bench-steps", "torch",
                     "train"):
            self.assert_row("all", part, "passed")
        self.assert_row("all", "kernels", "failed: exit status 1")  # there is no PyTorch
        self.assert_row("all", "sanitize", "passed")
        self.assertIn("| synccheck | 1 | none | none |", self.report)
        self.assertIn(f"1 of {measure.epochs_for(180, 0.05)} epochs", self.report)
        log = self.log.read_text(encoding="utf-8")
        for words in (f"-DCUDNN_ROOT={self.site}/nvidia/cudnn", "-DCMAKE_CUDA_ARCHITECTURES=90-real",
                      f"-DCMAKE_CUDA_COMPILER={self.bin}/nvcc", f"cmake --build {self.build}"):
            self.assertIn(words, log)

    def test_what_fails(self):
        self.all("--parts", "build", "tests", "train", broken="product", status=1)
        self.assert_row("all", "tests", "failed: exit status 8")
        self.assertIn("- 7 - preactivation_conv (Failed)", self.report)
        self.assertIn("fused '0' train", self.log.read_text(encoding="utf-8"))
        (self.bin / "nvidia-smi").write_text("#!/bin/sh\necho No devices were found; exit 6\n", encoding="utf-8")
        self.all("--parts", "build")
        self.assert_row("all", "build", "not run: nvidia-smi names no GPU to build for: exit status 6: No devices were")


class Small(Case):
    @unittest.skipUnless(BENCH, "no program of benchmarks was given")
    def test_the_largest_benchmarks(self):
        command = [BENCH, "--device=cuda", "--dtype=bf16", "--benchmark_list_tests=true"]
        listed = subprocess.run([*command, f"--benchmark_filter={measure.LARGEST}"], stdout=subprocess.PIPE, text=True,
                                check=True)
        kernels = {line.split("/")[0] for line in listed.stdout.split()}
        for kernel in ("attention_merge_forward", "upsample_add_forward", "max_pool_backward", "batch_norm_statistics",
                       "spatial_norm_forward", "preactivation_conv_forward", "preactivation_conv_backward", "sgd_step"):
            self.assertIn(kernel, kernels)
        self.assertFalse([kernel for kernel in kernels if "composed" in kernel or "chain" in kernel])

    def test_epochs(self):
        self.assertEqual(measure.epochs_for(120, 0.048), 25)
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
    unittest.main()
