#!/usr/bin/env python3
"""Fovea beside PyTorch on the same work: images/s and peak memory of a training step and of inference.

Every contender runs in processes of its own, in turn: Fovea, PyTorch channels-last, PyTorch contiguous, and so
on for several rounds, so that a machine that slows down slows all of them. A figure is the median over the steps
of all rounds; PyTorch's is that of its faster layout. Memory is the peak resident size of the whole process.

Needs python3-torch (run it by /usr/bin/python3 on Debian) and a built fovea_step_time.

  benchmarks/peers/compare_torch.py
  benchmarks/peers/compare_torch.py --models attention92-wide --modes train --batch 32 --rounds 5
"""
import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
LAYOUTS = ["channels-last", "contiguous"]


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=pathlib.Path, default=ROOT / "build/cpu/bin/fovea_step_time")
    parser.add_argument("--models", nargs="+", default=["attention56", "attention92", "attention92-wide"])
    parser.add_argument("--modes", nargs="+", choices=["train", "inference"], default=["train", "inference"])
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=5, help="timed steps of a process, after the warm-up")
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--out", type=pathlib.Path, help="also write the table there, and all times beside it as .json")
    return parser.parse_args()


def measure(command, arguments, model, mode):
    """One process; its line of JSON."""
    flags = {"model": model, "mode": mode, "batch": arguments.batch, "steps": arguments.steps,
             "warmup": arguments.warmup, "threads": arguments.threads}
    for name, value in flags.items():
        command = command + [f"--{name}", str(value)]
    environment = dict(os.environ, OMP_NUM_THREADS=str(arguments.threads))
    run = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if run.returncode != 0:
        sys.exit(f"compare_torch: exit status {run.returncode} of: {' '.join(command)}")
    return json.loads(run.stdout.splitlines()[-1])


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        names = [line.split(":", 1)[1].strip() for line in info if line.startswith("model name")]
    return names[0] if names else platform.processor()


def figures(runs, batch):
    """(images/s, peak bytes) of one contender's runs."""
    seconds = statistics.median(second for run in runs for second in run["seconds"])
    return batch / seconds, statistics.median(run["peak_memory_bytes"] for run in runs)


def compare(arguments, model, mode, log):
    """The row of the table for one model and mode."""
    contenders = {"fovea": [str(arguments.program)]}
    for layout in LAYOUTS:
        contenders[layout] = [sys.executable, str(HERE / "torch_step_time.py"), "--layout", layout]
    runs = {name: [] for name in contenders}
    for round_number in range(arguments.rounds):
        for name, command in contenders.items():
            print(f"{model} {mode}: round {round_number + 1}, {name}", file=sys.stderr)
            runs[name].append(measure(command, arguments, model, mode))
    log.append({"model": model, "mode": mode, "runs": runs})

    speed, memory = figures(runs["fovea"], arguments.batch)
    torch = {layout: figures(runs[layout], arguments.batch) for layout in LAYOUTS}
    best_speed, best_memory = max(torch.values())
    return (f"| {model} | {mode} | {speed:.1f} | {torch['channels-last'][0]:.1f} | {torch['contiguous'][0]:.1f} "
            f"| {speed / best_speed:.2f} | {memory / 2**20:.0f} | {best_memory / 2**20:.0f} "
            f"| {memory / best_memory:.2f} |")


def main():
    arguments = parse_arguments()
    log = []
    rows = [compare(arguments, model, mode, log) for model in arguments.models for mode in arguments.modes]
    version = log[0]["runs"]["contiguous"][0]["torch"]
    text = "\n".join([
        f"{processor()}, {arguments.threads} threads; batch {arguments.batch}, f32; PyTorch {version}; median of "
        f"{arguments.rounds * arguments.steps} steps in {arguments.rounds} alternating rounds.",
        "",
        "| network | work | Fovea, images/s | PyTorch channels-last | PyTorch contiguous | Fovea / best PyTorch "
        "| Fovea, peak MiB | PyTorch, peak MiB | Fovea / PyTorch |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        *rows, ""])
    print(text)
    if arguments.out:
        arguments.out.write_text(text, encoding="utf-8")
        arguments.out.with_suffix(".json").write_text(json.dumps(log), encoding="utf-8")


if __name__ == "__main__":
    main()
