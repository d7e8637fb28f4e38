"""What the GPU's own counters say of kernels, by NVIDIA's ncu."""
import csv
import re

from .session import Failed, NotRun

# What ncu looks at: the largest kernels of a step, each in a process of its own.
COUNTED = [f"preactivation_conv_{name}/N:512/H:{size}/" for size in ("32/C:128", "8/C:512")
           for name in ("forward", "backward", "backward_input")]
COUNTED += [f"{name}/N:2048/" for name in ("batch_norm_relu_forward", "batch_norm_relu_backward_input",
                                          "attention_merge_backward", "max_pool_forward", "upsample_backward")]
COUNTERS = {"us": "gpu__time_duration.sum", "% DRAM": "gpu__dram_throughput.avg.pct_of_peak_sustained_elapsed",
            "% SM": "sm__throughput.avg.pct_of_peak_sustained_elapsed",
            "% issue": "smsp__issue_active.avg.pct", "warps": "sm__warps_active.avg.pct_of_peak_sustained_active"}
STALL = re.compile(r"smsp__average_warps_issue_stalled_(\w+?)_per_issue_active\.ratio")
TO_US = {"ns": 1e-3, "nsecond": 1e-3, "us": 1, "usecond": 1, "ms": 1e3, "msecond": 1e3}


def counters_of(text):
    """[{kernel, us, % ..., stalls}] of what `ncu --csv --page raw` has printed."""
    rows = list(csv.DictReader(text[text.index('"ID"'):].splitlines())) if '"ID"' in text else []
    units, found = (rows[0], []) if rows else ({}, [])
    for row in rows[1:]:
        number = {}
        for name, value in row.items():
            try:
                number[name] = float((value or "").replace(",", ""))
            except (ValueError, AttributeError):
                pass
        of = {short: next((number[name] for name in number if name.startswith(metric)), None)
              for short, metric in COUNTERS.items()}
        if of["us"] is not None:
            of["us"] *= TO_US.get(units.get(COUNTERS["us"]), 1)
        stalls = {match[1]: number[name] for name in number if (match := STALL.fullmatch(name))}
        largest = sorted(stalls, key=stalls.get, reverse=True)[:4]
        found.append({"kernel": row.get("Kernel Name", "?").split("(")[0][-60:], **of,
                      "stalls": ", ".join(f"{name} {stalls[name]:.1f}" for name in largest)})
    return found


def counters(session, machine):
    """What the GPU's counters say of the largest kernels: how busy memory and SMs are, and what warps wait for."""
    ncu = machine.tool("ncu")
    if ncu is None:
        raise NotRun("there is no ncu")
    session.note("| case | kernel | " + " | ".join(COUNTERS) + " | what a warp waits for, cycles an instruction |\n"
                 "| --- | --- |" + " ---: |" * len(COUNTERS) + " --- |")
    sections = ["SpeedOfLight", "WarpStateStats", "SchedulerStats", "Occupancy", "MemoryWorkloadAnalysis"]
    missing = []
    for case in COUNTED:
        log = f"{case.replace('/', '-').replace(':', '')}.csv"
        outcome = session.run([ncu, "--csv", "--page", "raw", "--clock-control", "none", "--launch-count", 4, "--kill",
                               "yes", *(word for name in sections for word in ("--section", name)),
                               machine.program("fovea_bench"), "--device=cuda", "--dtype=bf16",
                               f"--benchmark_filter=^{case}"], limit=20, log=log)
        found = counters_of(outcome.text())
        if not found:
            missing.append(f"{case}: {outcome.reason()}")
        for of in found:
            cells = ["-" if of[name] is None else f"{of[name]:.1f}" for name in COUNTERS]
            session.note(f"| {case} | {of['kernel']} | {' | '.join(cells)} | {of['stalls']} |")
    if missing:
        raise Failed(f"ncu counted nothing of {'; '.join(missing)}")
