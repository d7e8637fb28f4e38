#!/usr/bin/env python3
"""Stands in for the CUDA libraries that PyTorch's CUDA build loads even where it computes on the CPU alone.

The package index has no other build for Linux, and those libraries are gigabytes of which the CPU uses nothing. So each
one that is not installed below site-packages becomes an empty one, in PyTorch's own folder, whose functions end the
program. CUDA's runtime must be real: it is asked for devices, and finds none. Needs a C compiler and binutils.

  DIR/bin/python benchmarks/peers/stub_cuda.py [SITE_PACKAGES]
"""
import collections
import pathlib
import re
import subprocess
import sys
import sysconfig
import tempfile

ROOTS = ["libtorch_python.so", "libtorch_global_deps.so"]  # what `import torch` loads


def output_of(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False).stdout


def needed_versions(libraries):
    """Of each library that these need: the names of the symbol versions that they want of it."""
    needed = collections.defaultdict(set)
    for library in libraries:
        for name in re.findall(r"\(NEEDED\).*\[(.+)\]", output_of("readelf", "-dW", str(library))):
            needed[name].update()
        section = output_of("readelf", "-VW", str(library)).partition(".gnu.version_r")[2]
        for file, names in re.findall(r"File: (\S+).*((?:\n(?!.*File:).*Name:.*)*)", section):
            needed[file].update(re.findall(r"Name: (\S+)", names))
    return needed


def build(path, symbols, versions):
    """Symbols: {(name, version or "")}."""
    lines = []
    for i, (name, version) in enumerate(sorted(symbols)):
        stub = f"stub_{i}" if version else name
        lines.append(f"void {stub}(void) {{ __builtin_trap(); }}")
        if version:
            lines.append(f'__asm__(".symver {stub}, {name}@@{version}");')
    with tempfile.TemporaryDirectory() as folder:
        source, script = pathlib.Path(folder, "stub.c"), pathlib.Path(folder, "versions")
        source.write_text("\n".join(lines), encoding="utf-8")
        script.write_text("\n".join(f"{version} {{ }};" for version in sorted(versions)), encoding="utf-8")
        subprocess.run(["cc", "-shared", "-fPIC", "-fno-builtin", "-w", f"-Wl,-soname,{path.name}",
                        *([f"-Wl,--version-script={script}"] if versions else []), "-o", str(path), str(source)],
                       check=True)


def main():
    packages = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else sysconfig.get_path("platlib"))
    folder = packages / "torch" / "lib"
    needed = needed_versions(folder.glob("*.so"))
    real = {file.name for file in packages.glob("nvidia/*/lib/*.so*")}
    stubs = {name: versions for name, versions in needed.items()
             if re.match(r"lib(cu|nccl|nv)", name) and name not in real and name != "libcuda.so.1"}
    if not stubs:
        print("all CUDA libraries that PyTorch loads are there, or it loads none")
        return
    for name, versions in stubs.items():
        build(folder / name, set(), versions)
    missing = output_of("ldd", "-r", *(str(folder / name) for name in ROOTS))
    symbols = collections.defaultdict(set)
    # A version belongs to one library; what has none may be in any.
    home = {version: name for name, versions in stubs.items() for version in versions}
    home[""] = next((name for name, versions in stubs.items() if not versions), next(iter(stubs)))
    for name, version in re.findall(r"symbol:? (\w+)(?:, version (\S+))?", missing):
        if version in home and not re.match("_?Py", name):
            symbols[home[version]].add((name, version))
    for name, defined in symbols.items():
        build(folder / name, defined, stubs[name])
    print(f"stand-ins for {len(stubs)} CUDA libraries: {', '.join(sorted(stubs))}")


if __name__ == "__main__":
    main()
