"""The parts of the second and third call: training, kernels, PyTorch beside, sanitizers."""
import concurrent.futures
import csv
import json
import shutil
import time

from . import pack, pictures
from .parts import (
    BATCH,
    BESIDE_OTHERS,
    MODEL,
    TRAINING_IMAGES,
    is_compiling,
    need_device,
    step_seconds,
    torch_command,
    unfused,
)
from .session import Failed, NotRun

RECIPE = ["--optimiser", "sgd", "--lr", "0.5", "--schedule", "one-cycle", "--label-smoothing", "0.1"]
TRAINING_SECONDS = 120
EPOCHS_WITHOUT_A_TIME = 12
# An evaluation is a ninth of the images and a third of the work; beside that an epoch writes checkpoints.
EVALUATION, CHECKPOINTS = 0.04, 0.3
# What is put together from passes would try engines of cuDNN for most of the time.
LARGEST = ("^(attention_merge|upsample|max_pool|average_pool|batch_norm|channel_norm|spatial_norm|preactivation_conv|"
           "sgd).*(N:512|N:2048|parameters)")
SANITIZED = ["preactivation_pointwise", "batch_norm", "max_pool", "upsample", "captured_graph"]


def epochs_for(seconds, step):
    """How many epochs that take `seconds` in all."""
    if step is None:
        return EPOCHS_WITHOUT_A_TIME
    epoch = TRAINING_IMAGES // BATCH * step * (1 + EVALUATION) + CHECKPOINTS
    return min(max(int(seconds / epoch), 1), 200)


def images_of(machine):
    """The folder with CIFAR-10."""
    unpacked = machine.work / "cifar-10-batches-bin"
    if not machine.data and pictures.find_batches(unpacked):
        return unpacked
    try:
        return pictures.find_data(machine.data)
    except pictures.DataError as error:
        raise NotRun(str(error)) from None


def train(session, machine):
    """attention92-wide for as many epochs as the time holds, with the accuracy on held-out images after each."""
    folder, flags = images_of(machine), unfused(machine)
    seconds = machine.minutes * 60 if machine.minutes else min(TRAINING_SECONDS, session.left() * 0.75)
    epochs = epochs_for(seconds, step_seconds(machine))
    run = session.file("run")
    outcome = session.run([machine.program("cifar_trainer"), "train", "--model", MODEL, "--data", folder, "--device",
                           "cuda", "--precision", "bf16", "--batch-size", BATCH, *RECIPE, "--epochs", epochs, "--out",
                           run, "--overwrite"], environment=flags)
    metrics = run / "metrics.csv"
    if metrics.exists():  # also of a run that was cut
        with open(metrics, encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        session.note(f"{MODEL}, {len(rows)} of {epochs} epochs in bf16, batch {BATCH}, `{' '.join(RECIPE)}`"
                     f"{', FOVEA_FUSED=0: the tests of the fused products have failed' if flags else ''}\n")
        columns = ["epoch", "train_loss", "validation_loss", "validation_accuracy", "images_per_second",
                   "seconds"]
        session.note("| " + " | ".join(columns) + " |\n|" + " ---: |" * len(columns))
        for row in rows:
            session.note("| " + " | ".join(row.get(column) or "-" for column in columns) + " |")
        summary = run / "summary.json"
        if summary.exists():
            session.note(f"Test accuracy {json.loads(summary.read_text(encoding='utf-8')).get('test_accuracy')}\n")
    for checkpoint in run.glob("*.safetensors"):
        checkpoint.rename(machine.work / checkpoint.name)  # too large to come back
    outcome.require()


def bench(dtype, pattern):
    """A part that runs fovea_bench and makes its table, also of a run that was cut."""
    def time_kernels(session, machine):
        log = session.file(f"{dtype}.json")
        outcome = session.run([machine.program("fovea_bench"), "--device=cuda", f"--dtype={dtype}",
                               f"--benchmark_filter={pattern}", f"--benchmark_out={log}",
                               "--benchmark_out_format=json"], limit=session.left() - 5)
        if log.exists() and log.stat().st_size:
            table = session.run([machine.python, pack.ROOT / "benchmarks/table.py", log], limit=10, log="table.log")
            session.note("\n".join(table.text().splitlines()[1:]))
        outcome.require()
    return time_kernels


def torch(ways, models=None):
    """A part that times training steps beside PyTorch's, from what it has compiled before."""
    def compare(session, machine):
        table = session.file("table.md")
        while is_compiling(machine) and session.left() > 70:
            time.sleep(0.5)
        if is_compiling(machine):
            session.note("Timed beside a compilation that had not ended.\n")
        more = ["--models", *models] if models else []
        outcome = session.run(torch_command(machine, "--ways", *ways, "--precompile", 0, "--rounds", 3, "--limit",
                                            f"{max(session.left() - 10, 1):.0f}", "--out", table, *more),
                              environment=unfused(machine))
        if table.exists():
            session.note(table.read_text(encoding="utf-8"))
        outcome.require()
    return compare


def torch_kernels(session, machine):
    """Kernels beside PyTorch's."""
    table = session.file("table.md")
    outcome = session.run([machine.python, pack.ROOT / "benchmarks/peers/torch_kernels.py", "--program",
                           machine.program("fovea_bench"), "--device", "cuda", "--dtype", "bf16", "--out", table])
    if table.exists():
        session.note(table.read_text(encoding="utf-8"))
    outcome.require()


def sanitize_one(session, machine, sanitizer, tool, subject, limit):
    """One tool on one subject: (tool, subject, result)."""
    # Each block is to be one of CUDA's, neither used before nor filled. Tests that want errors of CUDA's functions
    # would be reported for them.
    flags = ["--tool", tool, "--error-exitcode", 99, "--print-limit", 20]
    flags += ["--report-api-errors", "no"] if tool == "memcheck" else []
    outcome = session.run([sanitizer, *flags, machine.program("device_tests"), "--filenames-as-tags",
                           f"[#{subject}_test]"], limit=limit, log=f"{tool}-{subject}.log",
                          environment={**BESIDE_OTHERS, "FOVEA_KEEP_MEMORY": "0", "FOVEA_AUTOTUNE": "0"})
    if outcome.code is None:
        return tool, subject, "not finished"
    return tool, subject, {0: "clean", 99: "errors"}.get(outcome.code, outcome.reason())


def sanitize(tools, subjects, jobs, limit):
    """A part that runs compute-sanitizer's tools on the tests of kernels."""
    def run_tools(session, machine):
        sanitizer = machine.tool("compute-sanitizer")
        if sanitizer is None:
            raise NotRun("there is no compute-sanitizer")
        need_device(session, machine)
        work = [(tool, subject) for subject in subjects for tool in tools]
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            results = list(pool.map(lambda item: sanitize_one(session, machine, sanitizer, *item, limit), work))
        session.note("| tool | clean | not clean | not finished |\n| --- | ---: | --- | --- |")
        for tool in tools:
            of_tool = {subject: result for name, subject, result in results if name == tool}
            wrong = [f"{subject}: {result}" for subject, result in of_tool.items()
                     if result not in ("clean", "not finished")]
            unfinished = [subject for subject, result in of_tool.items() if result == "not finished"]
            session.note(f"| {tool} | {list(of_tool.values()).count('clean')} | {'; '.join(wrong) or 'none'} | "
                         f"{', '.join(unfinished) or 'none'} |")
        wrong = [f"{tool} {subject}" for tool, subject, result in results if result not in ("clean", "not finished")]
        if wrong:
            raise Failed(f"not clean: {', '.join(wrong)}")
        if any(result == "not finished" for _, _, result in results):
            raise Failed("some did not finish")
    return run_tools


def engines(session, machine):
    """The choices of engines go home: the next machine need not try them."""
    if not (machine.work / "engines").is_dir():
        raise NotRun("no engine was chosen")
    shutil.copytree(machine.work / "engines", session.file("choices"), dirs_exist_ok=True)
    return f"- {len(list((machine.work / 'engines').rglob('*')))} files of choices in the archive"
