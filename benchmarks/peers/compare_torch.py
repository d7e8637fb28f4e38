#!/usr/bin/env python3
"""Fovea beside PyTorch, ONNX Runtime and OpenVINO on the same work: images/s, peak memory; training and inference.

Every contender is a process of its own that warms up and then times steps when it is asked to. They are asked in
turn, Fovea first, for several rounds, so that a machine that slows down slows all of them. A figure is the median
over the steps of all rounds; the ratio is to the fastest way of PyTorch. Memory is the peak resident size of the
process on the CPU, and what tensors took at most on a CUDA device. On the CPU all have Fovea's weights and batch, and
one whose logits or losses are others (than those of f32, by what its precision allows) is not timed. In bf16 on the CPU
PyTorch and OpenVINO are contenders in bf16 and in f32. A contender that cannot run is named, with the reason, and left
out.

Needs a built fovea_step_time and PyTorch 1.13 or later: each interpreter given is a contender in every way that its
PyTorch has. The first one that also has ONNX Runtime, and OpenVINO, is asked for inference on the CPU.
benchmarks/peers/install.sh DIR installs the newest of all; Debian's python3-torch is in /usr/bin/python3.

  benchmarks/peers/compare_torch.py --python /usr/bin/python3 --python DIR/bin/python --threads 2 --out table.md
  benchmarks/peers/compare_torch.py --python DIR/bin/python --precision bf16 --layouts channels-last
  benchmarks/peers/compare_torch.py --python DIR/bin/python --quick
  benchmarks/peers/compare_torch.py --models attention92-wide --modes train --batch 32 --rounds 5 --ways eager
  benchmarks/peers/compare_torch.py --device cuda --precision bf16 --program build/cuda/bin/fovea_step_time
"""
import argparse
import concurrent.futures
import itertools
import json
import os
import pathlib
import subprocess
import sys
import tempfile

from contender import Contender
from device_name import device_name

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
RUNTIMES = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}  # of exported models, and what they are called
PROBE = """
import importlib.util, json, torch
found = {"torch": torch.__version__, "compiles": hasattr(torch, "compile"), "runtimes": {}}
if all(importlib.util.find_spec(name) for name in ("numpy", "onnx", "onnxscript")):
    for name in ("onnxruntime", "openvino"):
        if importlib.util.find_spec(name):
            found["runtimes"][name] = __import__(name).__version__.partition("-")[0]
print(json.dumps(found))
"""


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=pathlib.Path, default=ROOT / "build/cpu/bin/fovea_step_time")
    parser.add_argument("--python", action="append", help="an interpreter that has PyTorch; may be given several "
                        "times. Default: this one")
    parser.add_argument("--models", nargs="+", default=["attention56", "attention92", "attention92-wide"])
    parser.add_argument("--modes", nargs="+", choices=["train", "inference"], default=["train", "inference"])
    parser.add_argument("--batch", type=int, nargs="+", help="default 32 64 128, on CUDA 64")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--precision", choices=["f32", "tf32", "bf16", "f16"], default="f32")
    parser.add_argument("--ways", nargs="+", choices=["eager", "compiled", "frozen", "graph", "captured"],
                        help="of PyTorch, see torch_step_time.py; default eager compiled, on CUDA all but frozen")
    parser.add_argument("--layouts", nargs="+", choices=["channels-last", "contiguous"],
                        help="default both, on CUDA channels-last")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=5, help="timed steps of a round")
    parser.add_argument("--replays", type=int, help="steps in a timed one; default 1, on CUDA 20")
    parser.add_argument("--settle", type=float, default=0.5, help="seconds of rest before a contender is timed: the "
                        "threads of the one before may still wait busily, some 30 ms of the first step")
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--precompile", type=int, help="compile the networks before, with so many processes at once, "
                        "so that PyTorch finds them in its cache, and its memory is not the compiler's; 0: do not. "
                        "Default 1, on CUDA 4")
    parser.add_argument("--compile-only", action="store_true", help="fill that cache and time nothing: it takes most "
                        "of the time and need not be quiet")
    parser.add_argument("--limit", type=float, default=1800, help="seconds that a contender may take to answer")
    parser.add_argument("--quick", action="store_true", help="whether everything runs: other defaults, attention-nano, "
                        "batch 4, one round of one step")
    parser.add_argument("--out", type=pathlib.Path, help="also write the table there, and all times beside it as .json")
    if parser.parse_args().quick:
        parser.set_defaults(models=["attention-nano"], batch=[4], rounds=1, steps=1, warmup=1, settle=0)
    arguments = parser.parse_args()
    is_cuda = arguments.device != "cpu"
    arguments.python = arguments.python or [sys.executable]
    arguments.batch = arguments.batch or ([64] if is_cuda else [32, 64, 128])
    arguments.ways = arguments.ways or ["eager", "compiled"] + (["graph", "captured"] if is_cuda else [])
    arguments.layouts = arguments.layouts or (["channels-last"] if is_cuda else ["channels-last", "contiguous"])
    arguments.replays = arguments.replays or (20 if is_cuda else 1)
    if arguments.precompile is None:
        arguments.precompile = 4 if is_cuda else 1
    arguments.same_work = not is_cuda and arguments.precision in ("f32", "bf16")
    arguments.precisions = ["bf16", "f32"] if arguments.same_work and arguments.precision == "bf16" else [None]
    return arguments


class Interpreter:
    """A Python, and what it has; `failure` if that is no PyTorch."""

    def __init__(self, program):
        self.program, self.failure = program, None
        try:
            answer = subprocess.run([program, "-c", PROBE], capture_output=True, text=True, check=False)
            found = json.loads(answer.stdout.splitlines()[-1])
            self.name = f"PyTorch {found['torch'].partition('+')[0]}"
            self.compiles, self.runtimes = found["compiles"], found["runtimes"]
        except (OSError, IndexError, ValueError) as error:
            said = [str(error)] if isinstance(error, OSError) else answer.stderr.strip().splitlines()
            self.failure = said[-1] if said else "it does not say which PyTorch it has"
            self.name, self.compiles, self.runtimes = program, False, {}


def interpreters_of(arguments):
    """Each under a name of its own."""
    interpreters = [Interpreter(program) for program in arguments.python]
    names = [interpreter.name for interpreter in interpreters]
    for interpreter in interpreters:
        if names.count(interpreter.name) > 1:
            interpreter.name += f" ({interpreter.program})"
    return interpreters


def contenders_for(arguments, interpreters, work, same_as=None):
    """What can run this work at all: a way that a PyTorch does not have is no failure."""
    yield Contender("Fovea", "Fovea", [str(arguments.program)], arguments, work)
    for interpreter, precision in itertools.product(interpreters, arguments.precisions):
        for way in arguments.ways if interpreter.failure is None else []:
            if (way != "eager" and not interpreter.compiles) or (way == "frozen" and work[1] == "train"):
                continue
            for layout in arguments.layouts:
                command = [interpreter.program, str(HERE / "torch_step_time.py"), "--way", way, "--layout", layout]
                name = " ".join([interpreter.name, way, *([layout] if len(arguments.layouts) > 1 else []),
                                 *([precision] if precision else [])])
                yield Contender(name, interpreter.program, command, arguments, work, same_as, precision)
    if not arguments.same_work or work[1] != "inference":
        return
    for (runtime, title), precision in itertools.product(RUNTIMES.items(), arguments.precisions):
        for interpreter in [interpreter for interpreter in interpreters if runtime in interpreter.runtimes][:1]:
            if runtime == "onnxruntime" and precision == "bf16":
                continue  # which it has not on a CPU
            command = [interpreter.program, str(HERE / "exported_step_time.py"), "--runtime", runtime]
            name = f"{title} {interpreter.runtimes[runtime]}" + (f" {precision}" if precision else "")
            yield Contender(name, title, command, arguments, work, same_as, precision)


def hand_over(arguments, work, path):
    """Writes down what the others must do the same as."""
    model, mode, batch = work
    command = [str(arguments.program), "--model", model, "--mode", mode, "--batch", str(batch), "--threads",
               str(arguments.threads), "--hand-over", str(path)]
    try:
        subprocess.run(command, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"{' '.join(map(str, work))}: Fovea hands no work over: {error}")
    return path


def precompile(arguments, work, contenders):
    """Times nothing, so that it may run at once. What is captured is compiled like what is not."""
    compiled = [contender for contender in contenders
                if any(f" {way}" in contender.name for way in ("compiled", "frozen", "graph"))]
    if compiled:
        print(f"{' '.join(map(str, work))}: compiling it in {len(compiled)} ways", file=sys.stderr)
    with concurrent.futures.ThreadPoolExecutor(arguments.precompile) as pool:
        list(pool.map(Contender.prepare, compiled))


def compare(arguments, work, contenders):
    """Times the contenders."""
    try:
        for round_number in range(arguments.rounds):
            for contender in contenders:
                if contender.failure is None:
                    print(f"{' '.join(map(str, work))}: round {round_number + 1}, {contender.name}", file=sys.stderr)
                    contender.measure()
    finally:
        for contender in contenders:
            contender.stop()


def is_runtime(name):
    """Whether a contender of that name runs an exported model."""
    return name.startswith(tuple(RUNTIMES.values()))


def row_of(work, names, contenders):
    """The row of the table for one model, mode and batch."""
    model, mode, batch = work
    ran = {contender.name: contender for contender in contenders if contender.failure is None}
    ours = ran.get("Fovea")
    torches = [peer for peer in ran.values() if peer.owner not in ("Fovea", *RUNTIMES.values())]
    cells = [model, mode, str(batch)]
    cells += [f"{batch / ran[name].seconds():.1f}" if name in ran else "-" for name in names]
    best = min(torches, key=Contender.seconds, default=None)
    cells.append(f"**{best.seconds() / ours.seconds():.2f}**" if ours and best else "-")
    for name in filter(is_runtime, names):
        cells.append(f"**{ran[name].seconds() / ours.seconds():.2f}**" if ours and name in ran else "-")
    if ours and best:
        least = min(map(Contender.memory, torches))
        cells += [f"{ours.memory() / 2**20:.0f}", f"{best.memory() / 2**20:.0f}",
                  f"{ours.memory() / best.memory():.2f}", f"{least / 2**20:.0f}"]
    else:
        cells += ["-"] * 4
    return "| " + " | ".join(cells) + " |"


def notes(arguments, log):
    """What the figures are."""
    if arguments.same_work:
        yield ("All have the same weights and batch, and gave the same logits, or the same losses of two training "
               "steps, as Fovea in f32, before they were timed.")
    if arguments.device == "cpu":
        runs = [run for entry in log for runs in entry["runs"].values() for run in runs]
        start = {run["torch"]: run["start_memory_bytes"] for run in runs if "start_memory_bytes" in run}
        alone = [f"; PyTorch {version} takes {size / 2**20:.0f} MiB without a model" for version, size in start.items()]
        yield f"Memory is the peak resident size of the process, its libraries included{''.join(alone)}."
    yield "PyTorch's peak is that of its fastest way; the least is that of the way that takes least."


def write(arguments, log, rows, names, versions, failures):
    """The table and all times so far."""
    columns = ["network", "work", "batch", *(f"{name}, images/s" for name in names), "Fovea / best PyTorch",
               *(f"Fovea / {name}" for name in filter(is_runtime, names)),
               "Fovea, peak MiB", "PyTorch, peak MiB", "Fovea / PyTorch", "least of PyTorch, peak MiB"]
    text = "\n".join([
        f"{device_name(arguments.device)}, {arguments.threads} threads; {arguments.precision}; PyTorch "
        f"{', '.join(sorted(versions)) or 'did not run'}; medians of {arguments.rounds * arguments.steps} times in "
        f"{arguments.rounds} alternating rounds, each of {arguments.replays} steps in a row.",
        *notes(arguments, log),
        "",
        "| " + " | ".join(columns) + " |",
        "| --- | --- |" + " ---: |" * (len(columns) - 2),
        *rows, "",
        *(f"- left out: {failure}" for failure in failures), ""])
    if arguments.out:
        arguments.out.write_text(text, encoding="utf-8")
        arguments.out.with_suffix(".json").write_text(json.dumps(log), encoding="utf-8")
    return text


def is_comparison(contenders):
    """Fovea, one way of each PyTorch, and the runtimes that were asked have run, and none gave other numbers."""
    owners = {contender.owner for contender in contenders}
    return (owners == {contender.owner for contender in contenders if contender.failure is None} and len(owners) > 1
            and not any(contender.disagrees for contender in contenders))


def main():
    arguments = parse_arguments()
    works = [(model, mode, batch) for model in arguments.models for mode in arguments.modes
             for batch in arguments.batch]
    interpreters = interpreters_of(arguments)
    names = list(dict.fromkeys(contender.name for work in works
                               for contender in contenders_for(arguments, interpreters, work)))
    names.sort(key=is_runtime)  # they are not in every work
    failures = [f"{interpreter.program}: {interpreter.failure}" for interpreter in interpreters if interpreter.failure]
    for failure in failures:
        print(f"left out: {failure}", file=sys.stderr)
    log, rows, versions, text = [], [], set(), ""
    is_complete = not failures
    for work in works:
        with tempfile.TemporaryDirectory() as folder:
            same_as = hand_over(arguments, work, pathlib.Path(folder, "work")) if arguments.same_work else None
            contenders = list(contenders_for(arguments, interpreters, work, same_as))
            if arguments.precompile > 0:
                precompile(arguments, work, contenders)
            if arguments.compile_only:
                continue
            compare(arguments, work, contenders)
        rows.append(row_of(work, names, contenders))
        log.append({"model": work[0], "mode": work[1], "batch": work[2],
                    "runs": {contender.name: contender.runs for contender in contenders},
                    "failures": {contender.name: contender.failure for contender in contenders if contender.failure}})
        versions |= {run["torch"] for contender in contenders for run in contender.runs if "torch" in run}
        failures += [f"{contender.name}, {' '.join(map(str, work))}: {contender.failure}"
                     for contender in contenders if contender.failure]
        is_complete &= is_comparison(contenders)
        text = write(arguments, log, rows, names, versions, failures)  # now, in case that the next is stopped
    print(text)
    sys.exit(0 if is_complete else 1)


if __name__ == "__main__":
    main()
