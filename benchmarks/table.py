#!/usr/bin/env python3
"""Makes a Markdown table of the JSON that fovea_bench writes, and says which kernels fall short of a share of the copy
bandwidth with their largest tensors. Of repetitions it has the one in the middle, and how far apart they are as %noise.

  build/cuda/bin/fovea_bench --device=cuda --dtype=bf16 --benchmark_out=bf16.json --benchmark_out_format=json
  benchmarks/table.py bf16.json --target 90
"""
import argparse
import json
import pathlib
import statistics

UNITS = {"ns": 1e-3, "us": 1.0, "ms": 1e3, "s": 1e6}
COLUMNS = ["%noise", "GB/s", "%copy", "GFLOP/s", "%product", "images/s", "SM MHz"]


def read_log(file):
    """The log; of a run that was stopped, what it had written by then."""
    text = file.read_text(encoding="utf-8")
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return json.loads(text[:text.rindex("}")] + "}]}")


def split(name):
    """("relu_forward", "N:64 H:8") of "relu_forward/N:64/H:8/iterations:1/manual_time"."""
    kernel, *parts = name.split("/")
    named = [part for part in parts if not part.startswith(("iterations:", "repeats:")) and not part.endswith("_time")]
    return kernel, " ".join(named)


def noise_percent(times):
    """The range of the middle half of them in percent of the median: as fovea_bench's %noise."""
    first, median, third = statistics.quantiles(times, n=4, method="inclusive")
    return 100 * (third - first) / median


def middle_of_repetitions(entries):
    """One entry for each name, in their order: the one of the median time (the lower of two); of four or more
    repetitions the noise is that between them, of fewer the largest within one."""
    by_name = {}
    for entry in entries:
        by_name.setdefault(entry["name"], []).append(entry)
    for repetitions in by_name.values():
        times = [entry["microseconds"] for entry in repetitions]
        middle = repetitions[times.index(statistics.median_low(times))]
        within = [entry["%noise"] for entry in repetitions if "%noise" in entry]
        if len(times) >= 4:
            middle["%noise"] = noise_percent(times)
        elif within:
            middle["%noise"] = max(within)
        labels = [entry["label"] for entry in repetitions if "label" in entry]
        if labels:
            middle["label"] = labels[0]  # one that was throttled is enough
        yield middle


def origin(context):
    """Commit, compiler and driver, as far as the log has them: those of before 2026-11-29 have none."""
    parts = []
    if "fovea_commit" in context:
        parts.append(f"Fovea {context['fovea_version']} at {context['fovea_commit']}, {context['compiler']}")
    if "driver" in context:
        parts.append(f"driver {context['driver']}, SM clock {context['SM MHz']} of {context['SM MHz at most']} MHz "
                     "before it began")
    return "".join(f"; {part}" for part in parts)


def largest_calls(entries):
    """{kernel: the entry of its largest call}, of kernels that move memory and no more."""
    largest = {}
    for entry in entries:
        kernel, _ = split(entry["name"])
        if "bytes" not in entry or "GFLOP/s" in entry:
            continue
        entry["megabytes"] = entry["bytes"] / 1e6
        if kernel not in largest or entry["megabytes"] > largest[kernel]["megabytes"]:
            largest[kernel] = entry
    return largest


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=pathlib.Path)
    parser.add_argument("--target", type=float, default=90, help="percent of the copy bandwidth")
    parser.add_argument("--least", type=float, default=64, help="only calls that move so many megabytes have a target")
    arguments = parser.parse_args()
    log = read_log(arguments.file)
    context = log["context"]
    entries = [entry for entry in log["benchmarks"] if entry.get("run_type", "iteration") == "iteration"]
    for entry in entries:
        entry["microseconds"] = entry["real_time"] * UNITS[entry["time_unit"]]
    entries = list(middle_of_repetitions(entries))

    empty = f"; an empty call {float(context['empty us']):.1f} us" if "empty us" in context else ""
    print(f"{context['device']}; {context['dtype']}, TF32 {context['tf32']}; copy "
          f"{float(context['copy GB/s']):.0f} GB/s{empty}{origin(context)}; {context['date'][:10]}.\n")

    large = {kernel: entry for kernel, entry in largest_calls(entries).items() if entry["megabytes"] >= arguments.least}
    short = {kernel: entry for kernel, entry in large.items() if entry["%copy"] < arguments.target}
    if large:
        print(f"{len(large) - len(short)} of {len(large)} kernels reach {arguments.target:g}% of the copy bandwidth "
              f"with their largest tensors (calls that move {arguments.least:g} MB and more)."
              + (" The others:" if short else "") + "\n")
        for kernel, entry in sorted(short.items(), key=lambda item: item[1]["%copy"]):
            print(f"- {kernel}: {entry['%copy']:.0f}% ({entry['megabytes']:.0f} MB)")
        print()
    throttled = [entry for entry in entries if "label" in entry]
    if throttled:
        print("The device was throttled, so that these times are not comparable:\n")
        for entry in throttled:
            print(f"- {' '.join(split(entry['name']))}: {entry['label']}")
        print()
    columns = [column for column in COLUMNS if any(column in entry for entry in entries)]
    print("| benchmark | arguments | time, us | " + " | ".join(columns) + " |")
    print("| --- | --- |" + " ---: |" * (len(columns) + 1))
    for entry in entries:
        cells = [f"{entry[column]:.4g}" if column in entry else "-" for column in columns]
        print("| " + " | ".join([*split(entry["name"]), f"{entry['microseconds']:.1f}", *cells]) + " |")


if __name__ == "__main__":
    main()
