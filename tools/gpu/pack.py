"""Packs what a machine with a GPU needs that has no network: programs, their libraries, and images."""
import os
import pathlib
import re
import shutil
import subprocess
import tarfile
import tempfile

from . import pictures

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAMS = ["bin/cifar_trainer", "bin/fovea_bench", "bin/fovea_step_time", "tests/device_tests"]
ARCHIVE = "programs.tar.xz"
HALVES = ["half-1", "half-2"]
LIMIT_MIB = 62  # of the 64 that travel
# The C library is the machine's own, and CUDA's libraries are those of its driver and of PyTorch.
LEFT_TO_THE_MACHINE = re.compile(
    r"^(ld-linux.*|lib(c|m|mvec|pthread|dl|rt|resolv|util|anl|nsl|nss_.*)\.so.*"
    r"|lib(cuda|cudnn|cublas|nvrtc|nvJitLink).*)$")


class PackError(Exception):
    """What could not be packed, and what to do."""


def check_call(command, **settings):
    try:
        subprocess.run([str(word) for word in command], check=True, **settings)
    except FileNotFoundError:
        raise PackError(f"there is no {command[0]} on this machine") from None
    except subprocess.CalledProcessError as error:
        raise PackError(f"`{command[0]} {command[1]}` ended with {error.returncode}: see what it says above") from None


def build(folder, architecture, jobs):
    """The programs for one architecture, that run on another machine."""
    check_call(["cmake", "-S", ROOT, "-B", folder, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", "-DFOVEA_CUDA=ON",
                f"-DCMAKE_CUDA_ARCHITECTURES={architecture}-real", "-DFOVEA_NATIVE=OFF",
                "-DFOVEA_CPU_VARIANTS=OFF", "-DCMAKE_CXX_FLAGS=-march=x86-64-v3",
                "-DCMAKE_DISABLE_FIND_PACKAGE_OneDNN=ON", "-DFOVEA_MPI=OFF", "-DFOVEA_NCCL=OFF",
                "-DFOVEA_BUILD_EXAMPLES=OFF",
                # Libraries are looked for beside the program, then where LD_LIBRARY_PATH says, and nowhere else.
                "-DCMAKE_SKIP_RPATH=ON",
                "-DCMAKE_EXE_LINKER_FLAGS=-Wl,--disable-new-dtags -Wl,-rpath,'$ORIGIN/lib'"])
    check_call(["cmake", "--build", folder, "-j", jobs, "--target",
                *(pathlib.PurePath(program).name for program in PROGRAMS)])


def libraries_of(program):
    """{name: path} of the shared libraries that it needs and the other machine may lack."""
    found = {}
    answer = subprocess.run(["ldd", str(program)], stdout=subprocess.PIPE, text=True, check=True).stdout
    for line in answer.splitlines():
        name, arrow, path = line.strip().partition(" => ")
        name = pathlib.PurePath(name).name
        if not arrow or LEFT_TO_THE_MACHINE.match(name):
            continue
        if path.startswith("not found"):
            raise PackError(f"{program} needs {name}, which this machine lacks itself")
        found[name] = path.rpartition(" (")[0]
    return found


def pack_programs(build_folder, archive):
    with tempfile.TemporaryDirectory() as folder:
        place = pathlib.Path(folder, "programs")
        (place / "lib").mkdir(parents=True)
        for program in PROGRAMS:
            source = build_folder / program
            if not source.exists():
                raise PackError(f"there is no {source}: pack without --no-build builds it")
            target = place / source.name
            shutil.copy(source, target)
            for name, path in libraries_of(source).items():
                shutil.copy(path, place / "lib" / name)
            check_call(["strip", target])
            for name, path in libraries_of(target).items():
                if not path.startswith(str(place)):
                    raise PackError(f"{source} takes {name} from {path}, wanted lib/ beside it: link with "
                                    "-Wl,-rpath,'$ORIGIN/lib'")
        with tarfile.open(archive, "w:xz", preset=9) as tar:
            tar.add(place, "programs")


def share(names, sizes, ahead):
    """Which names go into the first half, so that the larger of `ahead` and it, and of the rest, is small."""
    left, first = sum(sizes[name] for name in names), []
    for name in names:
        if ahead + sizes[name] > left - sizes[name]:
            break
        ahead, left = ahead + sizes[name], left - sizes[name]
        first.append(name)
    return first


def size_of(path):
    files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files)


def tree_size():
    """Bytes of the source tree that travel with every call."""
    listed = shutil.which("git") and subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-coz", "--exclude-standard"], stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, check=False)
    if listed and listed.returncode == 0:
        names = [os.fsdecode(name) for name in listed.stdout.split(b"\0") if name]
        return sum((ROOT / name).lstat().st_size for name in names if os.path.lexists(ROOT / name))
    return sum(path.lstat().st_size for path in ROOT.rglob("*") if path.is_file()
               and path.relative_to(ROOT).parts[0] not in (".git", "runs") and
               not path.relative_to(ROOT).parts[0].startswith("build"))


def loads_of(folder):
    """[(what travels with a call, bytes)] of the three calls, and whether each is within the limit."""
    tree = tree_size()
    carried = [[ARCHIVE, HALVES[0]], [HALVES[1]], []]
    return [(names, tree, tree + sum(size_of(folder / name) for name in names)) for names in carried]


def check_loads(folder, limit_mib=LIMIT_MIB):
    """Prints what each call carries; PackError if one is too much."""
    too_large = []
    for call, (names, tree, total) in enumerate(loads_of(folder), 1):
        parts = [f"tree {tree / 2**20:.1f}"] + [f"{name} {size_of(folder / name) / 2**20:.1f}" for name in names]
        print(f"gpu_check: call {call} carries {total / 2**20:.1f} MiB: {', '.join(parts)}")
        if total > limit_mib * 2**20:
            too_large.append(f"call {call} carries {total / 2**20:.1f} MiB")
    if too_large:
        raise PackError(f"{', '.join(too_large)}, wanted at most {limit_mib}: 64 travel; ignore large files of the "
                        "tree, or leave the images out with --without-data")


def pack(arguments):
    folder = pathlib.Path(arguments.folder).resolve()
    data = None if arguments.without_data else pictures.find_data(arguments.data)
    if data:
        pictures.pillow()
    known = {ARCHIVE, *HALVES}
    others = sorted(path.name for path in folder.iterdir() if path.name not in known) if folder.exists() else []
    if others:
        raise PackError(f"{folder} has {others[0]}, which is no part of a packed folder; name one that is new")
    build_folder = pathlib.Path(arguments.build).resolve()
    if not arguments.no_build:
        build(build_folder, arguments.architecture, arguments.jobs)
    for name in HALVES:
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name).mkdir(parents=True)
    pack_programs(build_folder, folder / ARCHIVE)
    if data:
        names = pictures.write_pictures(data, folder / HALVES[1])
        sizes = {name: (folder / HALVES[1] / name).stat().st_size for name in names}
        for name in share(names, sizes, size_of(folder / ARCHIVE)):
            (folder / HALVES[1] / name).rename(folder / HALVES[0] / name)
        shutil.copy(folder / HALVES[1] / pictures.MANIFEST, folder / HALVES[0])
    check_loads(folder, arguments.limit_mib)
    return 0
