"""`run all`: a build for the GPU of this machine, and all that there is to run on it, with time for it."""
import pathlib
import re

from . import counters, measure, pack, parts
from .session import Failed, NotRun

HOUR = 3600
KERNELS_ALONE = "-^(train_step|inference)/"
STEPS = "^(train_step|inference)/(attention92|attention92_wide)/N:(128|512)/"
# Not of kernels of our own, or of whole networks, for which compute-sanitizer takes hours.
NOT_SANITIZED = {"conv", "conv_cache", "cudnn_engines", "device_training", "emulator", "evaluator", "matmul", "parity",
                 "preactivation_conv", "profile"}


def build(session, machine):
    """Configures and builds for the GPU that is here, with cuDNN from Python where the system has none."""
    capability = session.run(["nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader"], limit=20,
                             log="gpu.log")
    found = re.findall(r"^(\d+)\.(\d+)$", capability.text(), re.M)
    if not found:
        raise NotRun(f"nvidia-smi names no GPU to build for: {capability.reason()}")
    flags = ["-DCMAKE_BUILD_TYPE=Release", "-DFOVEA_CUDA=ON", f"-DCMAKE_CUDA_ARCHITECTURES={''.join(found[0])}-real",
             "-DFOVEA_BUILD_EXAMPLES=OFF",
             "-DCMAKE_POLICY_VERSION_MINIMUM=3.5"]  # CMake 4 wants it for the configurations of older packages
    if nvcc := machine.tool("nvcc"):
        flags.append(f"-DCMAKE_CUDA_COMPILER={nvcc}")
    for folder in map(pathlib.Path, session.environment["LD_LIBRARY_PATH"].split(":")):
        if (folder.parent / "include" / "cudnn_version.h").exists():
            flags.append(f"-DCUDNN_ROOT={folder.parent}")
    configure = ["cmake", "-S", pack.ROOT, "-B", machine.build, *flags]
    session.run(configure).require()
    session.run(["cmake", "--build", machine.build, "--parallel"]).require()
    return f"- for compute capability {'.'.join(found[0])}"


def all_tests(session, machine):
    """Every test of the build; those of the source tree and of the installed package show nothing about a device."""
    parts.need_device(session, machine)
    outcome = session.run(["ctest", "--test-dir", machine.build, "-j", 8, "-E", "^(hygiene|install)_", "--timeout", 600,
                           "--output-on-failure", "--no-tests=error"])
    session.note("\n".join(f"- {line.strip()}" for line in outcome.text().splitlines()
                           if "tests passed" in line or re.match(r"\s*\d+ - ", line)))
    failed = re.findall(r"^\s*\d+ - (\w+) \(", outcome.text(), re.M)
    parts.write_failures(machine, failed)
    outcome.require()


def sanitize(session, machine):
    """compute-sanitizer's four tools on the tests of all kernels of our own."""
    parts.need_device(session, machine)
    listing = session.run([machine.program("device_tests"), "--filenames-as-tags", "--list-tags"], limit=60)
    subjects = sorted(set(parts.subjects_of(listing.text())) - NOT_SANITIZED)
    if not subjects:
        raise Failed(f"device_tests lists no tests: {listing.reason()}")
    tools = ["memcheck", "racecheck", "initcheck", "synccheck"]
    measure.sanitize(tools, subjects, jobs=6, limit=1800)(session, machine)


PARTS = [
    ("build", build, HOUR),
    ("versions", parts.versions, 120),
    ("tests", all_tests, HOUR),
    ("step-wide", parts.step("attention92-wide"), 300),
    ("step-attention92", parts.step("attention92"), 300),
    ("counters", counters.counters, 600),
    ("bench-bf16", measure.bench("bf16", KERNELS_ALONE), HOUR),
    ("bench-f32", measure.bench("f32", KERNELS_ALONE), HOUR),
    ("bench-steps", measure.bench("bf16", STEPS), HOUR),
    ("torch", measure.torch(["eager", "compiled", "graph", "captured"], ["attention92", "attention92-wide"]), HOUR),
    ("kernels", measure.torch_kernels, HOUR),
    ("train", measure.train, 2 * HOUR),
    ("sanitize", sanitize, 4 * HOUR),
    ("engines", measure.engines, 10),
]
