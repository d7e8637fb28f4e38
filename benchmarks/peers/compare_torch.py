#!/usr/bin/env python3
"""Fovea beside PyTorch on the same work: images/s and peak memory of a training step and of inference.

Every contender is a process of its own that warms up and then times steps when it is asked to. They are asked in
turn, Fovea first, for several rounds, so that a machine that slows down slows all of them. A figure is the median
over the steps of all rounds; the ratio is to the fastest way of PyTorch. Memory is the peak resident size of the
process on the CPU, and what tensors took at most on a CUDA device. A contender that cannot run is named, with the
reason, and left out.

Needs PyTorch 1.13 or later (on Debian: python3-torch, run by /usr/bin/python3) and a built fovea_step_time.

  benchmarks/peers/compare_torch.py
  benchmarks/peers/compare_torch.py --models attention92-wide --modes train --batch 32 --rounds 5
  benchmarks/peers/compare_torch.py --device cuda --precision bf16 --batch 64 512 --program build/cuda/bin/fovea_step_time
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import select
import statistics
import subprocess
import sys
import tempfile
import time

from device_name import device_name

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=pathlib.Path, default=ROOT / "build/cpu/bin/fovea_step_time")
    parser.add_argument("--models", nargs="+", default=["attention56", "attention92", "attention92-wide"])
    parser.add_argument("--modes", nargs="+", choices=["train", "inference"], default=["train", "inference"])
    parser.add_argument("--batch", type=int, nargs="+", default=[64])
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--precision", choices=["f32", "tf32", "bf16", "f16"], default="f32")
    parser.add_argument("--ways", nargs="+", choices=["eager", "compiled", "graph", "captured"],
                        help="of PyTorch, see torch_step_time.py; default eager, on CUDA all")
    parser.add_argument("--layouts", nargs="+", choices=["channels-last", "contiguous"],
                        help="default both, on CUDA channels-last")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=5, help="timed steps of a round")
    parser.add_argument("--replays", type=int, help="steps in a timed one; default 1, on CUDA 20")
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--precompile", type=int, help="compile the networks before, with so many processes at once, "
                        "so that PyTorch finds them in its cache; 0: do not. Default 0, on CUDA 4")
    parser.add_argument("--limit", type=float, default=900, help="seconds that a contender may take to answer")
    parser.add_argument("--out", type=pathlib.Path, help="also write the table there, and all times beside it as .json")
    arguments = parser.parse_args()
    is_cuda = arguments.device != "cpu"
    arguments.ways = arguments.ways or (["eager", "compiled", "graph", "captured"] if is_cuda else ["eager"])
    arguments.layouts = arguments.layouts or (["channels-last"] if is_cuda else ["channels-last", "contiguous"])
    arguments.replays = arguments.replays or (20 if is_cuda else 1)
    if arguments.precompile is None:
        arguments.precompile = 4 if is_cuda else 0
    return arguments


class Contender:
    """One process, and what it answered."""

    def __init__(self, name, command, arguments, work):
        self.name, self.runs, self.failure = name, [], None
        model, mode, batch = work
        flags = {"model": model, "mode": mode, "batch": batch, "device": arguments.device,
                 "precision": arguments.precision, "steps": arguments.steps, "replays": arguments.replays,
                 "warmup": arguments.warmup, "threads": arguments.threads, "on-request": "yes"}
        self.command = command + [text for flag, value in flags.items() for text in (f"--{flag}", str(value))]
        self.threads, self.limit, self.process = arguments.threads, arguments.limit, None

    def start(self):
        self.errors = tempfile.TemporaryFile(mode="w+", encoding="utf-8", errors="replace")
        self.process = subprocess.Popen(self.command, env=self.environment(), stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=self.errors, bufsize=0)

    def environment(self):
        return dict(os.environ, OMP_NUM_THREADS=str(self.threads))

    def prepare(self):
        """Runs it without asking for a time: what is compiled stays in PyTorch's cache."""
        try:
            subprocess.run(self.command, env=self.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL, timeout=self.limit, check=False)
        except subprocess.TimeoutExpired:
            pass  # it is reported when it is asked for a time

    def measure(self):
        """Asks for one round."""
        if self.process is None:
            self.start()
        try:
            self.process.stdin.write(b"time\n")
        except BrokenPipeError:
            return self.fail()
        line, end = b"", time.monotonic() + self.limit
        while not line.endswith(b"\n"):
            if not select.select([self.process.stdout], [], [], max(end - time.monotonic(), 0))[0]:
                return self.fail(f"no answer in {self.limit:g} s")
            part = os.read(self.process.stdout.fileno(), 65536)
            if not part:
                return self.fail()
            line += part
        self.runs.append(json.loads(line.splitlines()[-1]))

    def fail(self, reason=None):
        self.process.kill()
        self.process.wait()
        self.errors.seek(0)
        said = [line.strip() for line in self.errors if line.strip()]
        self.failure = reason or (said[-1] if said else f"exit status {self.process.returncode}")
        print(f"  {self.name} is left out: {self.failure}", file=sys.stderr)
        print("".join(f"    {line}\n" for line in said[-15:]), end="", file=sys.stderr)

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.stdin.close()
            try:
                self.process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                self.process.kill()

    def seconds(self):
        return statistics.median(second for run in self.runs for second in run["seconds"])

    def memory(self):
        return max(run["peak_memory_bytes"] for run in self.runs)


def contenders_for(arguments, work):
    yield Contender("Fovea", [str(arguments.program)], arguments, work)
    for way in arguments.ways:
        for layout in arguments.layouts:
            command = [sys.executable, str(HERE / "torch_step_time.py"), "--way", way, "--layout", layout]
            name = f"PyTorch {way}" + (f" {layout}" if len(arguments.layouts) > 1 else "")
            yield Contender(name, command, arguments, work)


def precompile(arguments, work):
    """Times nothing, so that it may run at once. What is captured is compiled like what is not."""
    compiled = [contender for contender in contenders_for(arguments, work)
                if any(way in contender.name for way in ("compiled", "graph"))]
    print(f"{' '.join(map(str, work))}: compiling it in {len(compiled)} ways", file=sys.stderr)
    with concurrent.futures.ThreadPoolExecutor(arguments.precompile) as pool:
        list(pool.map(Contender.prepare, compiled))


def compare(arguments, work):
    """The contenders, timed."""
    contenders = list(contenders_for(arguments, work))
    try:
        for round_number in range(arguments.rounds):
            for contender in contenders:
                if contender.failure is None:
                    print(f"{' '.join(map(str, work))}: round {round_number + 1}, {contender.name}", file=sys.stderr)
                    contender.measure()
    finally:
        for contender in contenders:
            contender.stop()
    return contenders


def row_of(work, contenders):
    """The row of the table for one model, mode and batch."""
    model, mode, batch = work
    ours, peers = contenders[0], [peer for peer in contenders[1:] if peer.failure is None]
    cells = [model, mode, str(batch)]
    cells += ["-" if contender.failure else f"{batch / contender.seconds():.1f}" for contender in contenders]
    if ours.failure is None and peers:
        best = min(peers, key=Contender.seconds)
        cells += [f"**{best.seconds() / ours.seconds():.2f}**", f"{ours.memory() / 2**20:.0f}",
                  f"{best.memory() / 2**20:.0f}", f"{ours.memory() / best.memory():.2f}"]
    else:
        cells += ["-"] * 4
    return "| " + " | ".join(cells) + " |"


def write(arguments, log, rows, names, versions, failures):
    """The table and all times so far."""
    columns = ["network", "work", "batch", *(f"{name}, images/s" for name in names), "Fovea / best PyTorch",
               "Fovea, peak MiB", "PyTorch, peak MiB", "Fovea / PyTorch"]
    text = "\n".join([
        f"{device_name(arguments.device)}, {arguments.threads} threads; {arguments.precision}; PyTorch "
        f"{', '.join(sorted(versions)) or 'did not run'}; medians of {arguments.rounds * arguments.steps} times in "
        f"{arguments.rounds} alternating rounds, each of {arguments.replays} steps in a row.",
        "",
        "| " + " | ".join(columns) + " |",
        "| --- | --- |" + " ---: |" * (len(columns) - 2),
        *rows, "",
        *(f"- left out: {failure}" for failure in failures), ""])
    if arguments.out:
        arguments.out.write_text(text, encoding="utf-8")
        arguments.out.with_suffix(".json").write_text(json.dumps(log), encoding="utf-8")
    return text


def main():
    arguments = parse_arguments()
    works = [(model, mode, batch) for model in arguments.models for mode in arguments.modes
             for batch in arguments.batch]
    log, rows, versions, failures, text = [], [], set(), [], ""
    is_complete = True
    for work in works:
        if arguments.precompile > 0:
            precompile(arguments, work)
        contenders = compare(arguments, work)
        rows.append(row_of(work, contenders))
        log.append({"model": work[0], "mode": work[1], "batch": work[2],
                    "runs": {contender.name: contender.runs for contender in contenders},
                    "failures": {contender.name: contender.failure for contender in contenders if contender.failure}})
        versions |= {run["torch"] for contender in contenders for run in contender.runs if "torch" in run}
        failures += [f"{contender.name}, {' '.join(map(str, work))}: {contender.failure}"
                     for contender in contenders if contender.failure]
        # Fovea and one way of PyTorch are what a comparison needs.
        is_complete &= not contenders[0].failure and any(not peer.failure for peer in contenders[1:])
        names = [contender.name for contender in contenders]
        text = write(arguments, log, rows, names, versions, failures)  # now, in case that the next is stopped
    print(text)
    sys.exit(0 if is_complete else 1)


if __name__ == "__main__":
    main()
