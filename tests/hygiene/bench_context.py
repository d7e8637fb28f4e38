#!/usr/bin/env python3
"""Runs fovea_bench and holds its JSON to what benchmarks/README.md says of it: what the figures came from, how noisy
they are and, with FAKE_DRIVER in LD_LIBRARY_PATH, whether the device was throttled; and the table that is made of it.
usage: bench_context.py FOVEA_BENCH VERSION COMPILER_VERSION [EMULATED_FOVEA_BENCH FAKE_DRIVER_FOLDER]
"""
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

TABLE = pathlib.Path(__file__).resolve().parents[2] / "benchmarks/table.py"


def run(program, *flags, **environment):
    """(the log, standard error, the table)"""
    with tempfile.TemporaryDirectory() as folder:
        log = pathlib.Path(folder) / "log.json"
        result = subprocess.run([program, *flags, f"--benchmark_out={log}", "--benchmark_out_format=json"], check=True,
                                capture_output=True, text=True, env={**os.environ, **environment})
        table = subprocess.run([sys.executable, TABLE, log], check=True, capture_output=True, text=True).stdout
        return json.loads(log.read_text(encoding="utf-8")), result.stderr, table


def check(condition, *found):
    if not condition:
        sys.exit(f"bench_context: found {found}")


def check_cpu(program, version, compiler):
    log, errors, table = run(program, "--benchmark_filter=^softmax_forward/N:128/C:10/", "--benchmark_min_time=0.05",
                             "--benchmark_repetitions=3")
    context = log["context"]
    check(context["fovea_version"] == version, context, version)
    check(re.fullmatch(r"[0-9a-f]{12,40}(-dirty)?|unknown", context["fovea_commit"]), context)
    check(compiler in context["compiler"] and re.match("GCC|.*[Cc]lang", context["compiler"]), context, compiler)
    check(re.fullmatch("native|generic|sse2|avx2|avx512|avx512_bf16", context["cpu_kernels"]), context)
    check("-Wall" in context["flags"].split(), context)
    check("driver" not in context and "throttled" not in errors, context, errors)
    runs = [entry for entry in log["benchmarks"] if entry["run_type"] == "iteration"]
    # How many times there are depends on the machine, what is made of them does not.
    check(len(runs) == 3 and all(("%noise" in entry) == (entry["iterations"] >= 4) for entry in runs), runs)
    check(all(entry.get("%noise", 0) >= 0 for entry in runs), runs)
    rows = [line for line in table.splitlines() if line.startswith("| softmax_forward ")]
    check(len(rows) == 1 and context["fovea_commit"] in table, table)
    check(("| %noise |" in table) == any("%noise" in entry for entry in runs), table)


def check_device(program, driver):
    flags = ["--device=cuda", "--benchmark_filter=^sigmoid_forward/N:64/H:8/"]
    log, errors, table = run(program, *flags, LD_LIBRARY_PATH=driver, FAKE_GPU_REASONS="4")
    context = log["context"]
    check([context[name] for name in ("driver", "SM MHz", "SM MHz at most")] == ["580.95.05", "1410", "1980"], context)
    check(all(entry["label"] == "throttled: power cap" and entry["SM MHz"] == 1410 for entry in log["benchmarks"]), log)
    check("***WARNING*** the device was throttled in" in errors and "1410 of 1980 MHz" in errors, errors)
    check("throttled: power cap" in table and "driver 580.95.05" in table, table)
    log, errors, table = run(program, *flags, LD_LIBRARY_PATH=driver)
    check(not any("label" in entry for entry in log["benchmarks"]), log)
    check("throttled" not in errors + table, errors, table)


def main():
    program, version, compiler, *emulated = sys.argv[1:]
    check_cpu(program, version, compiler)
    if emulated:
        check_device(*emulated)
    print("bench_context: version, commit, compiler, flags, noise" + (", clocks, throttling" if emulated else ""))


if __name__ == "__main__":
    main()
