"""nvdisasm, cuobjdump and nvcc: where they are, and what is run with them."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

PACKAGES = {"nvdisasm": "nvidia-cuda-nvdisasm==13.*", "cuobjdump": "nvidia-cuda-cuobjdump==13.*"}


class ToolError(Exception):
    """Something outside this program is missing or does not work."""


def run(command, **options):
    result = subprocess.run(command, capture_output=True, text=True, **options)
    if result.returncode != 0:
        raise ToolError(f"{shlex.join(map(str, command))} ended with {result.returncode}:\n"
                        f"{(result.stderr or result.stdout).strip()}")
    return result.stdout


def _folders(build):
    """Where the tools may be, beside PATH."""
    nvcc = shutil.which("nvcc")
    roots = [os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH"), "/usr/local/cuda"]
    yield from (Path(root) / "bin" for root in roots if root)
    if nvcc:
        yield Path(nvcc).resolve().parent
    packages = {sysconfig.get_path("purelib"), *sys.path}
    yield from (Path(folder) / "nvidia/cu13/bin" for folder in packages if folder)
    yield Path(build) / "machine_code/nvidia/cu13/bin"


def _install(build):
    """Puts the packages into the build folder, with the pip of this Python, or of an environment made for it."""
    target, requirements = Path(build) / "machine_code", list(PACKAGES.values())
    arguments = ["install", "--quiet", "--disable-pip-version-check", "--no-deps", "--upgrade", "--target",
                 str(target), *requirements]
    try:
        run([sys.executable, "-m", "pip", *arguments])
    except ToolError:
        environment = target / "pip"
        run([sys.executable, "-m", "venv", str(environment)])
        run([str(environment / "bin/python"), "-m", "pip", *arguments])


def find(name, build, folder=None):
    """The path of nvdisasm or cuobjdump: in `folder`, PATH, the toolkit, Python's packages, the build folder;
    else it is installed there. ToolError if that does not work."""
    def look():
        on_path = shutil.which(name) if folder is None else None
        candidates = [Path(folder) / name] if folder else [d / name for d in _folders(build)]
        for path in [Path(on_path)] if on_path else candidates:
            if path.is_file():
                if not os.access(path, os.X_OK):
                    path.chmod(0o755)
                return path
        return None

    found = look()
    if found is None and folder is None:
        try:
            _install(build)
        except ToolError as error:
            raise ToolError(f"{name} is neither in PATH, nor in the toolkit, nor among Python's packages, and "
                            f"pip could not install it into {build}/machine_code: {error}\n"
                            f"wanted: {' '.join(PACKAGES.values())}, or --tools FOLDER") from error
        found = look()
    if found is None:
        raise ToolError(f"{name} is not in {folder or build}")
    return found


def _compile_command(source, build):
    """The words with which the CUDA build compiles `source`."""
    commands = Path(build) / "compile_commands.json"
    if not commands.is_file():
        raise ToolError(f"{commands} does not exist, wanted a configured CUDA build: cmake --preset cuda")
    for entry in json.loads(commands.read_text()):
        if Path(entry["directory"], entry["file"]).resolve() == Path(source).resolve():
            return shlex.split(entry["command"])
    raise ToolError(f"{commands} does not compile {source}, wanted a .cu file of its tree")


def compile_cubin(source, build, architecture, cubin):
    """Compiles one .cu file for one architecture, with the flags of the build."""
    words = _compile_command(source, build)
    at = next(i for i, word in enumerate(words) if Path(word).name.startswith("nvcc"))  # behind a compiler cache
    kept, skip = [], False
    for word in words[at:]:
        if skip or word in ("-o", "-x", "-MF", "-MT"):
            skip = not skip
        elif not re.match(r"--generate-code|-gencode|-c$|-MD$|-dc$", word):
            kept.append(word)
    run([*kept, "-cubin", f"-arch={architecture}", "-o", str(cubin)], cwd=build)


def extract_cubins(binary, architecture, cuobjdump, folder):
    """The cubins for one architecture in an object or a library, or program."""
    run([str(cuobjdump), "-arch", architecture, "-xelf", "all", str(Path(binary).resolve())], cwd=folder)
    return sorted(Path(folder).glob("*.cubin"))


def demangle(names):
    """Readable names, without the namespaces, hashes and arguments: forward_kernel<bf16, 64>."""
    tool = shutil.which("cu++filt") or shutil.which("c++filt")
    if tool is None:
        raise ToolError("neither cu++filt nor c++filt is in PATH, wanted binutils")
    return [shorten(name) for name in run([tool], input="\n".join(names)).splitlines()]


def shorten(name):
    name = re.sub(r"_GLOBAL__N__\w+?_cu_[0-9a-f]+::|\(anonymous namespace\)::", "", name)
    name = re.sub(r"\bfovea::(kernels::)?(cuda::)?", "", name)
    name = re.sub(r"^void ", "", name.replace("> >", ">>").replace("> >", ">>"))
    depth = 0
    for index, letter in enumerate(name):
        depth += (letter == "<") - (letter == ">")
        if letter == "(" and depth == 0:
            return name[:index]
    return name
