#!/usr/bin/env python3
"""The kernels of fovea_bench beside PyTorch doing the same with the same shapes: one table of times and ratios.

Runs fovea_bench (or reads its JSON, --fovea FILE), and then times PyTorch on the same device: on CUDA like
fovea_bench, between two events with nothing of the data in the L2 cache, the median of many; launches cost nothing,
for a call is captured into a CUDA graph and replayed. PyTorch is timed eagerly, and by torch.compile for the largest
shape of each operation, or for all (--compiled all). Where Fovea has several passes for one call of PyTorch, their
times are added.

  benchmarks/peers/torch_kernels.py --filter 'upsample.*H:8'
  benchmarks/peers/torch_kernels.py --device cuda --dtype bf16 --program build/cuda/bin/fovea_bench --out kernels.md
"""
import argparse
import json
import math
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

from device_name import device_name

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))
from table import UNITS, read_log

try:
    import torch
except ImportError as error:
    sys.exit(f"torch_kernels: there is no PyTorch: {error}")
from torch_operations import OPERATIONS, Maker, call_of


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=pathlib.Path, default=ROOT / "build/cpu/bin/fovea_bench")
    parser.add_argument("--fovea", type=pathlib.Path, help="JSON of a run of fovea_bench, instead of running it")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--dtype", choices=["f32", "bf16", "f16"], default="f32")
    parser.add_argument("--filter", default="", help="regular expression: only these benchmarks of fovea_bench")
    parser.add_argument("--compiled", choices=["none", "largest", "all"], default="largest")
    parser.add_argument("--seconds", type=float, default=0.1, help="for each call, at least three times")
    parser.add_argument("--out", type=pathlib.Path, help="also write the table there, and all times beside it as .json")
    return parser.parse_args()


def run_fovea(arguments):
    """fovea_bench's JSON."""
    program = [str(arguments.program), f"--device={arguments.device}", f"--dtype={arguments.dtype}"]
    listed = subprocess.run(program + ["--benchmark_list_tests=true"], stdout=subprocess.PIPE, text=True, check=False)
    if listed.returncode != 0:
        sys.exit(f"torch_kernels: exit status {listed.returncode} of: {' '.join(program)}")
    kernels = {kernel for operation in OPERATIONS.values() for kernel in operation.kernels}
    names = [name for name in listed.stdout.split()
             if parse_name(name)[0] in kernels and re.search(arguments.filter, name)]
    if not names:
        sys.exit(f"torch_kernels: no benchmark that PyTorch has, too, matches '{arguments.filter}'")
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "fovea.json"
        command = program + [f"--benchmark_filter=^({'|'.join(map(re.escape, names))})$", f"--benchmark_out={out}",
                             "--benchmark_out_format=json"]
        if arguments.device == "cpu":
            command.append(f"--benchmark_min_time={arguments.seconds}")
        run = subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
        if run.returncode != 0:
            sys.exit(f"torch_kernels: exit status {run.returncode} of: {' '.join(program)}")
        return read_log(out)


def parse_name(name):
    """("max_pool_forward", {"N": 64, ...}) of "max_pool_forward/N:64/.../real_time"."""
    kernel, *parts = name.split("/")
    pairs = [part.split(":") for part in parts if ":" in part]
    return kernel, {key: int(value) for key, value in pairs if key != "iterations"}


def fovea_times(log, pattern):
    """{kernel: [(arguments, seconds, percent of the copy bandwidth)]}"""
    times = {}
    for entry in log["benchmarks"]:
        if entry.get("run_type", "iteration") == "iteration" and re.search(pattern, entry["name"]):
            kernel, shape = parse_name(entry["name"])
            seconds = entry["real_time"] * UNITS[entry["time_unit"]] / 1e6
            times.setdefault(kernel, []).append((shape, seconds, entry.get("%copy")))
    return times


class CpuTimer:
    """Mean seconds of calls in a row."""

    def __init__(self, seconds):
        self.seconds = seconds

    def __call__(self, call):
        count, begin = 0, time.perf_counter()
        while count < 3 or time.perf_counter() - begin < self.seconds:
            call()
            count += 1
        return (time.perf_counter() - begin) / count


class CudaTimer:
    """Median seconds between two events, the cache cleared before."""

    def __init__(self, seconds):
        self.seconds = seconds
        cache = getattr(torch.cuda.get_device_properties(0), "L2_cache_size", 128 << 20)
        self.filling = torch.empty(2 * cache + (16 << 20), dtype=torch.uint8, device="cuda")

    def __call__(self, call):
        call = self.captured(call)
        samples, begin = [], time.perf_counter()
        while len(samples) < 3 or (len(samples) < 101 and time.perf_counter() - begin < self.seconds):
            first, last = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            self.filling.zero_()
            first.record()
            call()
            last.record()
            last.synchronize()
            samples.append(first.elapsed_time(last) / 1e3)
        return statistics.median(samples)

    def captured(self, call):
        """The call as a graph; the call itself where it cannot be one."""
        try:
            graph = torch.cuda.CUDAGraph()
            torch.cuda.synchronize()
            with torch.cuda.graph(graph, stream=torch.cuda.current_stream()):
                kept = call()
            graph.replay()
            torch.cuda.synchronize()
            self.kept = kept  # its memory is what the graph writes
            return graph.replay
        except RuntimeError as error:
            print(f"  not captured, so launches count: {str(error).splitlines()[0]}", file=sys.stderr)
            torch.cuda.synchronize()
            return call


def peer_seconds(operation, maker, timer, compile_function):
    """Seconds, or why there are none."""
    try:
        return timer(call_of(operation, maker, compile_function)), None
    except Exception as error:  # whatever PyTorch says: the table goes on
        return None, f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"


def rows_for(arguments, ours, timer, failures):
    """[operation, shape, Fovea's seconds, %copy, eager, compiled] for all that both have."""
    dtype = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}[arguments.dtype]
    device = torch.device("cuda" if arguments.device != "cpu" else "cpu")
    can_compile = hasattr(torch, "compile") and arguments.compiled != "none"
    for name, operation in OPERATIONS.items():
        lists = [ours.get(kernel, []) for kernel in operation.kernels]
        passes = [entries for entries in zip(*lists) if all(entry[0] == entries[0][0] for entry in entries)]
        largest = max((math.prod(entries[0][0].values()) for entries in passes), default=0)
        for entries in passes:
            shape, seconds = entries[0][0], sum(entry[1] for entry in entries)
            copy = entries[0][2] if len(entries) == 1 else None
            maker = Maker(device, dtype, shape)
            eager, why = peer_seconds(operation, maker, timer, None)
            compiled = None
            is_wanted = arguments.compiled == "all" or math.prod(shape.values()) == largest
            if can_compile and is_wanted and operation.prepare is None:
                torch._dynamo.reset()
                compiled, why_compiled = peer_seconds(operation, maker, timer,
                                                      lambda f: torch.compile(f, dynamic=False))
                why = why or why_compiled
            text = " ".join(f"{key}:{value}" for key, value in shape.items())
            if why:
                failures.append(f"{name}, {text}: {why}")
            print(f"{name} {text}: Fovea {seconds}, PyTorch {eager} {compiled}", file=sys.stderr)
            yield [name, text, seconds, copy, eager, compiled]


def table(rows):
    def microseconds(seconds):
        return "-" if seconds is None else f"{seconds * 1e6:.1f}"

    def ratio(row):
        peers = [seconds for seconds in row[4:] if seconds is not None]
        return min(peers) / row[2] if peers else None

    lines = ["| operation | shape | Fovea, us | % of copy | PyTorch eager, us | PyTorch compiled, us "
             "| best PyTorch / Fovea |",
             "| --- | --- | ---: | ---: | ---: | ---: | ---: |"]
    for row in rows:
        copy = "-" if row[3] is None else f"{row[3]:.0f}"
        text = "-" if ratio(row) is None else f"{ratio(row):.2f}"
        lines.append(f"| {row[0]} | {row[1]} | {microseconds(row[2])} | {copy} | {microseconds(row[4])} "
                     f"| {microseconds(row[5])} | {text} |")
    ratios = [ratio(row) for row in rows if ratio(row) is not None]
    if ratios:
        lines += ["", f"Geometric mean of the {len(ratios)} ratios: {statistics.geometric_mean(ratios):.2f}."]
    return lines


def main():
    arguments = parse_arguments()
    torch.manual_seed(1)
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    is_cuda = arguments.device != "cpu"
    if is_cuda:
        torch.cuda.set_device(torch.device(arguments.device))
        # One stream for all: a graph is captured on the stream on which its tensors were made.
        torch.cuda.set_stream(torch.cuda.Stream())
    timer = CudaTimer(arguments.seconds) if is_cuda else CpuTimer(arguments.seconds)
    log = read_log(arguments.fovea) if arguments.fovea else run_fovea(arguments)
    ours = fovea_times(log, arguments.filter)
    failures = []
    rows = list(rows_for(arguments, ours, timer, failures))
    if not rows:
        sys.exit(f"torch_kernels: no benchmark that PyTorch has, too, matches '{arguments.filter}'")
    text = "\n".join([
        f"{device_name(arguments.device)}; {arguments.dtype}; PyTorch {torch.__version__}; copy "
        f"{float(log['context']['copy GB/s']):.0f} GB/s.", "", *table(rows), "",
        *(f"- PyTorch failed: {failure}" for failure in failures), ""])
    print(text)
    if arguments.out:
        arguments.out.write_text(text, encoding="utf-8")
        log = [dict(zip(["operation", "shape", "fovea", "percent_of_copy", "eager", "compiled"], row)) for row in rows]
        arguments.out.with_suffix(".json").write_text(json.dumps(log), encoding="utf-8")
    sys.exit(0 if any(row[4] or row[5] for row in rows) else 1)


if __name__ == "__main__":
    main()
