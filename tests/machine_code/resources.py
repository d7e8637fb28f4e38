#!/usr/bin/env python3
"""Compares registers, shared memory and blocks a multiprocessor of every CUDA kernel with a committed table."""

import argparse
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, astuple, dataclass, fields
from pathlib import Path

import code_tools
from occupancy import MULTIPROCESSORS, blocks_that_fit

TABLE = Path(__file__).resolve().with_name("resources.tsv")
PTX_ARCHITECTURE = "sm_90"  # for which the build embeds PTX, whose bounds may differ from those of other code
DEFAULT_THREADS = 256  # of a kernel without __launch_bounds__: grid_for's

_USAGE = re.compile(r"Function (\S+):\s+REG:(\d+) STACK:(\d+) SHARED:(\d+) LOCAL:(\d+)")
_ENTRY = re.compile(r"\.entry\s+(\S+?)\(.*?\)\s*((?:\.\w+ [\d, ]+\s*)*)\{", re.DOTALL)


@dataclass(frozen=True)
class Usage:
    """Of one kernel on one architecture."""

    threads: int  # of a block, at most
    wanted: int   # blocks a multiprocessor that __launch_bounds__ asks for; 0: any number, or not known
    registers: int
    stack: int    # bytes of a thread, spilled registers included
    shared: int   # bytes of a block
    blocks: int   # that fit on a multiprocessor


def launch_bounds(ptx):
    """{mangled name: (threads, blocks)} as __launch_bounds__ has them."""
    result = {}
    for name, directives in _ENTRY.findall(ptx):
        numbers = dict(re.findall(r"\.(\w+) (\d+)", directives))
        result[name] = int(numbers.get("maxntid", DEFAULT_THREADS)), int(numbers.get("minnctapersm", 0))
    return result


def parse_usage(text, architecture, bounds):
    """{mangled name: Usage} from what `cuobjdump -res-usage` prints for one architecture."""
    result = {}
    for name, registers, stack, shared, local in _USAGE.findall(text):
        if name not in bounds:
            continue  # no kernel, but a function that one calls
        # On sm_90 the bytes that the system reserves are counted where a kernel has some of its own.
        own = max(int(shared) - (MULTIPROCESSORS[architecture].reserved if architecture == "sm_90" else 0), 0)
        threads, wanted = bounds[name]
        if architecture != PTX_ARCHITECTURE:
            wanted = 0
        result[name] = Usage(threads, wanted, int(registers), int(stack) + int(local), own,
                             blocks_that_fit(architecture, threads, int(registers), own))
    return result


def usage_of(path, cuobjdump):
    """{(source: kernel, architecture): Usage} of an object of the CUDA build."""
    bounds = launch_bounds(code_tools.run([str(cuobjdump), "-ptx", str(path)]))
    mangled = list(bounds)
    source = Path(path).name.split(".")[0]
    readable = {name: f"{source}: {short}" for name, short in zip(mangled, code_tools.demangle(mangled))}
    if len(set(readable.values())) < len(mangled):
        twice = next(name for name in readable.values() if list(readable.values()).count(name) > 1)
        raise code_tools.ToolError(f"{path} has two kernels {twice}, wanted names that differ")
    result = {}
    for architecture in MULTIPROCESSORS:
        text = code_tools.run([str(cuobjdump), "-arch", architecture, "-res-usage", str(path)])
        found = parse_usage(text, architecture, bounds)
        if set(found) != set(bounds):
            missing = readable[min(set(bounds) - set(found))]
            raise code_tools.ToolError(f"{path} has no {missing} for {architecture}, wanted a build for "
                                       "80-real;90-real;90-virtual: cmake --preset cuda")
        result.update({(readable[name], architecture): usage for name, usage in found.items()})
    return result


def read_table(text):
    """(heading lines, {(kernel, architecture): Usage})"""
    lines = text.splitlines()
    heading = [line for line in lines if line.startswith("#")]
    rows = [line.split("\t") for line in lines if line and not line.startswith(("#", "kernel\t"))]
    return heading, {(row[0], row[1]): Usage(*map(int, row[2:])) for row in rows}


def write_table(usages, compiler):
    names = "\t".join(["kernel", "architecture", *(field.name for field in fields(Usage))])
    rows = ["\t".join(map(str, (*key, *astuple(usage)))) for key, usage in sorted(usages.items())]
    return "\n".join([f"# Written by resources.py --update, from what {compiler} made.", names, *rows]) + "\n"


def compare(built, table):
    """([what is worse, or not in the table], [what is better or no longer there])"""
    worse, better = [], []
    for key, now in sorted(built.items()):
        kernel, before = f"{key[0]} on {key[1]}", table.get(key)
        if before is None:
            worse.append(f"{kernel}: is not in the table")
        else:
            for name in ("stack", "shared", "blocks"):
                old, new = getattr(before, name), getattr(now, name)
                is_worse = new < old if name == "blocks" else new > old
                if is_worse:
                    worse.append(f"{kernel}: {name} {new}, in the table {old} "
                                 f"({now.registers} registers, before {before.registers})")
            if now != before and not any(line.startswith(f"{kernel}: ") for line in worse):
                changes = [f"{name} {old} -> {asdict(now)[name]}" for name, old in asdict(before).items()
                           if old != asdict(now)[name]]
                better.append(f"{kernel}: {', '.join(changes)}")
        if now.wanted > now.blocks:
            worse.append(f"{kernel}: {now.blocks} blocks fit, __launch_bounds__ wants {now.wanted}")
    sources = {key[0].split(":")[0] for key in built}
    for kernel, architecture in sorted(set(table) - set(built)):
        if kernel.split(":")[0] in sources:
            better.append(f"{kernel} on {architecture}: is in the table, and no longer built")
    return worse, better


def main():
    parser = argparse.ArgumentParser(description=__doc__, epilog="Ends with 1 where a figure is worse, or a "
                                     "kernel is not in the table.")
    parser.add_argument("objects", nargs="*", help="without any: those of the CUDA build")
    parser.add_argument("--update", action="store_true", help="write the table anew")
    code_tools.add_options(parser)
    arguments = parser.parse_args()
    try:
        cuobjdump = code_tools.find("cuobjdump", arguments.build, arguments.tools)
        version = code_tools.run([code_tools.compiler(arguments.build), "--version"])
        compiler = "CUDA " + re.search(r"release ([\d.]+)", version).group(1)
        objects = arguments.objects or code_tools.objects(arguments.build)
        with ThreadPoolExecutor(max_workers=code_tools.WORKERS) as pool:
            built = {}
            for usages in pool.map(lambda path: usage_of(path, cuobjdump), objects):
                built.update(usages)
    except code_tools.ToolError as error:
        return code_tools.report(error)
    if arguments.update:
        if arguments.objects:
            parser.error("--update needs all objects of the build, so name none")
        TABLE.write_text(write_table(built, compiler))
    heading, table = read_table(TABLE.read_text() if TABLE.is_file() else "# not there")
    worse, better = compare(built, table)
    for line in better:
        print(f"note: {line}")
    for line in worse:
        print(line)
    if worse or better:
        print(f"resources: this compiler is {compiler}; the table: {heading[0].strip('# ')}\n"
              "resources: where that is as it should be: resources.py --update, and commit the table")
    print(f"resources: {len(built)} rows, {len(worse)} worse or missing, {len(better)} changed otherwise")
    return 1 if worse or not built else 0


if __name__ == "__main__":
    sys.exit(main())
