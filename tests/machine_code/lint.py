#!/usr/bin/env python3
"""Checks the machine code of the CUDA kernels, as the compiler has made it, without a GPU."""

import argparse
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import code_tools
import rules
import sass


def disassemble(path, arguments):
    """The kernels in a file: .cu, .cubin, .sass (the output of nvdisasm -c), or an object or library."""
    path = Path(path)
    if path.suffix == ".sass":
        texts = [path.read_text()]
    else:
        nvdisasm = code_tools.find("nvdisasm", arguments.build, arguments.tools)
        with tempfile.TemporaryDirectory() as folder:
            if path.suffix == ".cubin":
                cubins = [path]
            elif path.suffix == ".cu":
                cubins = [Path(folder) / "code.cubin"]
                code_tools.compile_cubin(path, arguments.build, arguments.arch, cubins[0])
            else:
                cuobjdump = code_tools.find("cuobjdump", arguments.build, arguments.tools)
                cubins = code_tools.extract_cubins(path, arguments.arch, cuobjdump, folder)
            texts = [code_tools.run([str(nvdisasm), "-c", str(cubin)]) for cubin in cubins]
    try:
        kernels = [kernel for text in texts for kernel in sass.parse(text)]
    except ValueError as error:
        raise code_tools.ToolError(f"{path}: {error}") from error
    for kernel, name in zip(kernels, code_tools.demangle([kernel.mangled for kernel in kernels])):
        kernel.name, kernel.source = name, path.name.split(".")[0]
    return kernels


def figures(kernel):
    """What the rules look at, in numbers."""
    family = rules.family_of(kernel)
    loops = rules.hot_loops(kernel, family)
    regions = [loop.indices for loop in loops] or [range(len(kernel.instructions))]
    is_product = any(map(rules.is_product, kernel.instructions))
    together = "+".join(str(rules.under_way(kernel, loop)) for loop in loops) if loops and is_product else "+".join(
        str(rules.loads_together(kernel, region)) for region in regions)
    waits = len(rules.early_uses(kernel))
    sizes = "+".join(str(len(loop.body)) for loop in loops) or "-"
    return f"{len(kernel.instructions):5} {sizes:>11} {together:>7} {waits:5}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, epilog="Ends with 1 where a kernel breaks a rule.")
    parser.add_argument("files", nargs="*", help=".cu, .cubin, .sass, objects or libraries; "
                        "without any: the objects of the CUDA build")
    code_tools.add_options(parser)
    parser.add_argument("--arch", default="sm_90")
    parser.add_argument("--only", default="", help="only kernels whose name has this")
    parser.add_argument("--figures", action="store_true", help="print instructions, those of the hot loop, "
                        "full-width loads issued together, and waits before the multiply, of every kernel")
    arguments = parser.parse_args()
    try:
        files = arguments.files or code_tools.objects(arguments.build)
        code_tools.find("nvdisasm", arguments.build, arguments.tools)  # once, before all need it
        with ThreadPoolExecutor(max_workers=code_tools.WORKERS) as pool:
            kernels = [kernel for of_file in pool.map(lambda file: disassemble(file, arguments), files)
                       for kernel in of_file]
    except code_tools.ToolError as error:
        return code_tools.report(error)
    kernels = [kernel for kernel in kernels if arguments.only in kernel.name]
    if arguments.figures:
        print("total   hot loops   loads waits  kernel")
    failed = 0
    for kernel in kernels:
        if arguments.figures:
            print(f"{figures(kernel)}  {kernel.source}: {kernel.name}")
        found = rules.check(kernel)
        failed += bool(found)
        for rule, message in found:
            print(f"{kernel.source}: {kernel.name}: [{rule}] {message}")
    unmet = [] if arguments.files or arguments.only else rules.families_without_kernel(kernels)
    for family in unmet:
        print(f"tests/machine_code/rules.py: no kernel is {family.pattern}: take it out, or name it as it is now")
    print(f"machine code: {len(kernels)} kernels, {failed} of them break rules")
    return 1 if failed or unmet or not kernels else 0


if __name__ == "__main__":
    sys.exit(main())
