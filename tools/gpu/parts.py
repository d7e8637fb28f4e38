"""The parts of the first call: what is here, whether it is right, and where a step's time goes."""
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import statistics
import time

from . import pack, pictures
from .session import Failed, NotRun

MODEL, BATCH = "attention92-wide", 512
TRAINING_IMAGES = 45_000  # 5,000 are held out
FIRST = ["preactivation_pointwise", "preactivation_conv", "batch_norm", "device_training", "parity"]
LONG = {"device_training": 200, "parity": 200}  # seconds; others have TEST_LIMIT
TEST_LIMIT = 90
BESIDE_OTHERS = {"OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "passive"}  # waiting must not take the others' time
# Ways to run a subject's tests that its own program does not have: {name: (filter, environment)}.
AGAIN = {"conv_tuned": ("conv: a device gives*", {}),  # engines are tried, as in use
         "captured_graph_sync": ("[#captured_graph_test]", {"FOVEA_AUTOTUNE": "0", "FOVEA_SYNC": "1"})}
FUSED = ("preactivation_pointwise", "preactivation_conv")
COMPILED = "compiled.status"
NOTHING_TO_CARRY = "carry half-1, half-2 and programs.tar.xz of the packed folder, or name it with --pack"


def unpack(session, machine):
    """Programs and pictures of this call go where they stay."""
    found = [machine.pack / half for half in pack.HALVES if (machine.pack / half).is_dir()]
    for half in found:
        shutil.copytree(half, machine.work / "pictures", dirs_exist_ok=True)
    if (machine.pack / pack.ARCHIVE).exists():
        machine.unpack()
    elif not machine.program("device_tests").exists():
        raise Failed(f"there is no {machine.pack / pack.ARCHIVE}, and no call before has left one: {NOTHING_TO_CARRY}")
    return f"- unpacked: {', '.join([half.name for half in found] + [pack.ARCHIVE])}"


# cuDNN opens its own parts, and NVRTC, by name, and only when it needs them.
OPENED = ["libcudnn_graph.so.9", "libcudnn_ops.so.9", "libcudnn_cnn.so.9", "libcudnn_heuristic.so.9",
          "libcudnn_engines_precompiled.so.9", "libcudnn_engines_runtime_compiled.so.9", "libcublasLt.so.13",
          "libnvrtc.so.13"]
OPEN = """
import ctypes, os, sys
places = set()
for name in sys.argv[1:]:
    try:
        ctypes.CDLL(name)
    except OSError as error:
        print("not opened:", error)
with open("/proc/self/maps") as maps:
    places = {line.split()[-1] for line in maps if os.path.basename(line.split()[-1]) in sys.argv[1:]}
print("CUDA's libraries are those of", ", ".join(sorted(set(map(os.path.dirname, places)))) or "no folder")
"""


def versions(session, machine):
    """Which GPU, driver and libraries the figures belong to, and whether every program starts."""
    session.run(["nvidia-smi", "--query-gpu=name,driver_version,memory.total,clocks.max.sm,power.limit",
                 "--format=csv,noheader"], limit=10, log="gpu.log")
    gpu = session.file("gpu.log").read_text(encoding="utf-8").splitlines()
    session.note(f"- GPU: {gpu[-1] if gpu else 'none'}")
    names = [pathlib.PurePath(program).name for program in pack.PROGRAMS]
    for name in names:
        session.run(["ldd", machine.program(name)], limit=10, log="ldd.log")
    missing = sorted(set(re.findall(r"(\S+) => not found", session.file("ldd.log").read_text(encoding="utf-8"))))
    if missing:
        session.note(f"- not found in {session.environment['LD_LIBRARY_PATH'] or 'the system'}: {', '.join(missing)}")
    devices = session.run([machine.program("cifar_trainer"), "devices"], limit=20, log="devices.log")
    session.note("\n".join(f"- {line}" for line in devices.text().splitlines()[1:]))
    opened = session.run([machine.python, "-c", OPEN, *OPENED], limit=20, log="opened.log")
    session.note("\n".join(f"- {line}" for line in opened.text().splitlines() if re.match("not opened|CUDA's", line)))
    torch = session.run([machine.python, "-c", "import importlib.metadata as m; print('PyTorch', m.version('torch'))"],
                        limit=20, log="torch.log")
    session.note(f"- {torch.text().splitlines()[-1]}, {os.cpu_count()} processors")
    if missing:
        raise Failed(f"a library was not found: {', '.join(missing)}")
    devices.require()
    starts = {name: session.run([machine.program(name), "--help"], limit=20, log=f"{name}.log")
              for name in ("device_tests", "fovea_bench", "fovea_step_time")}
    for name, outcome in starts.items():
        if outcome.code is None or outcome.code in (126, 127) or outcome.code < 0 or not outcome.text().count("\n") > 5:
            raise Failed(f"{name} does not start: {outcome.reason()}")
    need_device(session, machine)


def need_device(session, machine):
    """Fails where the programs find no device: tests of it would pass on the CPU alone."""
    session.run([machine.program("fovea_bench"), "--device=cuda", "--benchmark_list_tests=true"], limit=30,
                log="device.log").require()


def torch_command(machine, *more):
    """The comparison with PyTorch of one training step, compiled and captured."""
    return [machine.python, pack.ROOT / "benchmarks/peers/compare_torch.py", "--program",
            machine.program("fovea_step_time"), "--device", "cuda", "--precision", "bf16", "--models", MODEL, "--modes",
            "train", "--batch", BATCH, *more]


def compile_torch(session, machine):
    """PyTorch compiles while the tests run: it takes minutes, and most of them on the CPU."""
    command = torch_command(machine, "--compile-only", "--ways", "compiled", "--precompile", 1)
    process = session.start(command, machine.work / COMPILED)
    (machine.work / "compiling.pid").write_text(str(process.pid), encoding="utf-8")
    return "- goes on in the background"


def is_compiling(machine):
    if (machine.work / COMPILED).exists() or not (machine.work / "compiling.pid").exists():
        return False
    try:
        os.kill(int((machine.work / "compiling.pid").read_text(encoding="utf-8")), 0)
    except ProcessLookupError:
        return False
    return True


def wait_for_compiler(session, machine):
    """Waits for the compiler, which would disturb what is timed."""
    while is_compiling(machine):
        if session.left() < 2:
            raise Failed("PyTorch is still compiling; it goes on, and what follows is timed beside it")
        time.sleep(0.5)
    if not (machine.work / COMPILED).exists():
        raise NotRun("nothing was compiled")
    code = (machine.work / COMPILED).read_text(encoding="utf-8").strip()
    if code != "0":
        said = [line for log in session.results.glob("*-compile-log")
                for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
        raise Failed(f"exit status {code}: {next((line for line in reversed(said) if line.strip()), '')[:200]}")


def subjects_of(listing):
    """{subject: number of its tests} of `device_tests --filenames-as-tags --list-tags`."""
    return {subject: int(count) for count, subject in re.findall(r"^\s*(\d+)\s+\[#(\w+)_test\]", listing, re.M)}


def test_one(session, machine, subject, limit):
    """One subject in a process of its own: (subject, outcome)."""
    names, environment = AGAIN.get(subject, (f"[#{subject}_test]", {"FOVEA_AUTOTUNE": "0"}))
    environment = {**BESIDE_OTHERS, "FOVEA_CACHE": str(machine.work / "tested-engines"), **environment}
    return subject, session.run([machine.program("device_tests"), "--filenames-as-tags", names], limit=limit,
                                log=f"{subject}.log", environment=environment)


def tests(session, machine, jobs=8, limit=None):
    """All device tests, eight subjects at once."""
    need_device(session, machine)
    listing = session.run([machine.program("device_tests"), "--filenames-as-tags", "--list-tags"], limit=20)
    found = subjects_of(listing.text())
    if not found:
        raise Failed(f"device_tests lists no tests: {listing.reason()}")
    order = [subject for subject in FIRST if subject in found] + sorted(set(found) - set(FIRST)) + list(AGAIN)
    failures = {}
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        running = [pool.submit(test_one, session, machine, subject, limit or LONG.get(subject, TEST_LIMIT))
                   for subject in order]
        for future in concurrent.futures.as_completed(running):
            subject, outcome = future.result()
            if outcome.code != 0:
                failures[subject] = outcome
                session.note(f"- {subject}: {ending_of(outcome)}")
    session.note(f"- {len(order) - len(failures)} of {len(order)} subjects passed ({sum(found.values())} tests)")
    for subject in [subject for subject in order if subject in failures][:5]:
        last = "\n".join(failures[subject].text().splitlines()[-25:])
        session.note(f"\n{subject}:\n\n```\n{last}\n```")
    write_failures(machine, sorted(failures))
    if failures:
        raise Failed(f"{len(failures)} of {len(order)} subjects: {', '.join(sorted(failures))}")


def ending_of(outcome):
    """What Catch2 says last, where it ended itself."""
    counts = re.findall(r"^(?:test cases|assertions):.*$", outcome.text(), re.M)
    return "; ".join(" ".join(line.split()) for line in counts) if outcome.code and counts else outcome.reason()


def write_failures(machine, subjects):
    (machine.work / "failed-tests.json").write_text(json.dumps(subjects), encoding="utf-8")


def unfused(machine):
    """The environment without the fused products, if their tests have failed."""
    path = machine.work / "failed-tests.json"
    failed = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    return {"FOVEA_FUSED": "0"} if set(failed) & set(FUSED) else {}


def step(model):
    """A part that times a training step and profiles it; it also fills the cache of engines."""
    def time_step(session, machine):
        flags = unfused(machine)
        outcome = session.run([machine.program("fovea_step_time"), "--device", "cuda", "--precision", "bf16", "--model",
                               model, "--batch", BATCH, "--steps", 5, "--profile", session.file("profile.md")],
                              log="step.json", environment=flags)
        outcome.require()
        answer = json.loads([line for line in outcome.text().splitlines() if line.startswith("{")][-1])
        seconds = statistics.median(answer["seconds"])
        (machine.work / f"step-{model}.json").write_text(json.dumps(answer), encoding="utf-8")
        profile = session.file("profile.md").read_text(encoding="utf-8").splitlines()
        session.note(f"- {model}, bf16, batch {BATCH}{', FOVEA_FUSED=0' if flags else ''}: **{1e3 * seconds:.2f} ms, "
                     f"{BATCH / seconds:.0f} images/s**, peak {answer['peak_memory_bytes'] / 2**20:.0f} MiB\n")
        session.note("\n".join(profile[2:60]))
    return time_step


def step_seconds(machine, model=MODEL):
    """Of the step that was timed, or None."""
    path = machine.work / f"step-{model}.json"
    return statistics.median(json.loads(path.read_text(encoding="utf-8"))["seconds"]) if path.exists() else None


def data(session, machine):
    """CIFAR-10 as .bin files."""
    try:
        pictures.read_pictures([machine.work / "pictures", *(machine.pack / half for half in pack.HALVES)],
                               machine.work / "cifar-10-batches-bin")
    except pictures.DataError as error:
        raise Failed(str(error)) from None
    shutil.rmtree(machine.work / "pictures", ignore_errors=True)
    return "- CIFAR-10, SHA-256 of every file as packed"
