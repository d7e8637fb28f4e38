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

ROOT = Path(__file__).resolve().parents[2]
WORKERS = 2
SKIPPED = 77  # the exit status that tells CTest so
MAJOR = "13"  # of the toolkit
PACKAGES = [f"nvidia-cuda-nvdisasm=={MAJOR}.*", f"nvidia-cuda-cuobjdump=={MAJOR}.*"]


class ToolError(Exception):
    """Something outside this program is missing or does not work."""


class MissingTool(ToolError):
    """nvdisasm or cuobjdump is not there, and cannot be installed."""


def add_options(parser):
    """What all programs of this folder take."""
    parser.add_argument("--build", type=lambda folder: Path(folder).resolve(), default=ROOT / "build/cuda",
                        help="the CUDA build's folder")
    parser.add_argument("--tools", type=Path, help="the folder of nvdisasm and cuobjdump")


def report(error):
    """The exit status for a ToolError: without the tools a test is skipped, but where they are required."""
    if isinstance(error, MissingTool) and not os.environ.get("FOVEA_REQUIRE_MACHINE_CODE"):
        print(f"machine code: skipped: {error}", file=sys.stderr)
        return SKIPPED
    print(f"machine code: {error}", file=sys.stderr)
    return 2


def run(command, **options):
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    except OSError as error:
        raise ToolError(f"{command[0]} cannot be run: {error}") from error
    if result.returncode != 0:
        raise ToolError(f"{shlex.join(map(str, command))} ended with {result.returncode}:\n"
                        f"{(result.stderr or result.stdout).strip()}")
    return result.stdout


def _folders(build):
    """Where the tools may be."""
    yield from map(Path, os.environ.get("PATH", os.defpath).split(os.pathsep))
    roots = [os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH"), "/usr/local/cuda"]
    yield from (Path(root) / "bin" for root in roots if root)
    if (Path(build) / "compile_commands.json").is_file():
        yield Path(compiler(build)).resolve().parent
    packages = {sysconfig.get_path("purelib"), *sys.path}
    yield from (Path(folder) / "nvidia/cu13/bin" for folder in packages if folder)
    yield Path(build) / "machine_code/nvidia/cu13/bin"


def _install(build):
    """Puts the packages into the build folder, with the pip of this Python, or of an environment made for it."""
    target, requirements = Path(build) / "machine_code", PACKAGES
    arguments = ["install", "--quiet", "--disable-pip-version-check", "--no-deps", "--upgrade", "--target",
                 str(target), *requirements]
    try:
        run([sys.executable, "-m", "pip", *arguments])
    except ToolError:
        environment = target / "pip"
        run([sys.executable, "-m", "venv", str(environment)])
        run([str(environment / "bin/python"), "-m", "pip", *arguments])


def _is_usable(path):
    """Whether it is there, and of the toolkit's major version: an older one does not know its cubins."""
    if not path.is_file():
        return False
    if not os.access(path, os.X_OK):
        path.chmod(0o755)
    release = re.search(r"release (\d+)\.", run([str(path), "--version"]))
    return release is not None and release.group(1) == MAJOR


def find(name, build, folder=None):
    """The path of nvdisasm or cuobjdump: in `folder` if that is given, else in PATH, the toolkit, Python's
    packages or the build folder, where it is installed if need be. MissingTool if that does not work."""
    if folder is not None:
        if not _is_usable(Path(folder) / name):
            raise ToolError(f"{folder} has no {name} of CUDA {MAJOR}")
        return (Path(folder) / name).resolve()

    def look():
        return next((at / name for at in _folders(build) if _is_usable(at / name)), None)

    found = look()
    if found is None:
        try:
            _install(build)
        except ToolError as error:
            raise MissingTool(f"{name} of CUDA {MAJOR} is neither in PATH, nor in the toolkit, nor among Python's "
                              f"packages, and pip could not install it into {build}/machine_code: {error}\n"
                              f"wanted: {' '.join(PACKAGES)}, or --tools FOLDER") from error
        found = look()
    if found is None:
        raise MissingTool(f"{build}/machine_code has no {name} of CUDA {MAJOR}, although pip has installed it")
    return found


def _commands(build):
    """The entries of the CUDA build for .cu files: [(source, words)]."""
    commands = Path(build) / "compile_commands.json"
    if not commands.is_file():
        raise ToolError(f"{commands} does not exist, wanted a configured CUDA build: cmake --preset cuda")
    return [(Path(entry["directory"], entry["file"]).resolve(), shlex.split(entry["command"]))
            for entry in json.loads(commands.read_text()) if entry["file"].endswith(".cu")]


def objects(build):
    """The objects of the library's CUDA kernels. ToolError if one is not built."""
    outputs = [Path(build) / words[words.index("-o") + 1] for _, words in _commands(build)]
    found = [output for output in outputs if "fovea.dir" in output.parts]
    missing = [output for output in found if not output.is_file()]
    if missing or not found:
        raise ToolError(f"{missing[0] if missing else build} is not built, wanted a CUDA build: "
                        "cmake --preset cuda && cmake --build --preset cuda --target fovea")
    return found


def compiler(build):
    """The nvcc of the CUDA build."""
    commands = _commands(build)
    if not commands:
        raise ToolError(f"{build} compiles no .cu file, wanted a CUDA build: cmake --preset cuda")
    words = commands[0][1]
    return words[_nvcc_at(words)]


def _nvcc_at(words):
    """Where nvcc stands in the words of a command: behind a compiler cache."""
    return next(index for index, word in enumerate(words) if Path(word).name.startswith("nvcc"))


def _compile_command(source, build):
    """The words with which the CUDA build compiles `source`."""
    for path, words in _commands(build):
        if path == Path(source).resolve():
            return words
    raise ToolError(f"{build}/compile_commands.json does not compile {source}, wanted a .cu file of its tree")


def compile_cubin(source, build, architecture, cubin):
    """Compiles one .cu file for one architecture, with the flags of the build."""
    words = _compile_command(source, build)
    kept, skip = [], False
    for word in words[_nvcc_at(words):]:
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
