"""A program that is timed when it is asked to, beside others."""
import json
import os
import select
import statistics
import subprocess
import sys
import tempfile
import time

from handover import DISAGREES


class Contender:
    """One process, and what it answered. `owner` is the program or interpreter that it stands for; `precision` another
    one than arguments.precision."""

    def __init__(self, name, owner, command, arguments, work, same_as=None, precision=None):
        self.name, self.owner, self.runs, self.failure, self.disagrees = name, owner, [], None, False
        model, mode, batch = work
        flags = {"model": model, "mode": mode, "batch": batch, "device": arguments.device,
                 "precision": precision or arguments.precision, "steps": arguments.steps, "replays": arguments.replays,
                 "warmup": arguments.warmup, "threads": arguments.threads, "on-request": "yes"}
        if same_as:
            flags["same-as"] = same_as
        self.command = command + [text for flag, value in flags.items() for text in (f"--{flag}", str(value))]
        self.threads, self.settle, self.limit = arguments.threads, arguments.settle, arguments.limit
        self.process = None

    def start(self):
        self.errors = tempfile.TemporaryFile(mode="w+", encoding="utf-8", errors="replace")
        self.process = subprocess.Popen(self.command, env=self.environment(), stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=self.errors, bufsize=0)

    def environment(self):
        return dict(os.environ, OMP_NUM_THREADS=str(self.threads))

    def prepare(self):
        """Runs it without asking for a time: what is compiled stays in PyTorch's cache."""
        try:
            subprocess.run(self.command, env=self.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL, timeout=self.limit, check=False)
        except subprocess.TimeoutExpired:
            pass  # it is reported when it is asked for a time

    def measure(self):
        """Asks for one round."""
        if self.process is None:
            self.start()
        time.sleep(self.settle)
        try:
            self.process.stdin.write(b"time\n")
        except BrokenPipeError:
            return self.fail()
        line, end = b"", time.monotonic() + self.limit
        while not line.endswith(b"\n"):
            if not select.select([self.process.stdout], [], [], max(end - time.monotonic(), 0))[0]:
                return self.fail(f"no answer in {self.limit:g} s")
            part = os.read(self.process.stdout.fileno(), 65536)
            if not part:
                return self.fail()
            line += part
        self.runs.append(json.loads(line.splitlines()[-1]))

    def fail(self, reason=None):
        if reason is None:  # it has ended, or is about to
            self.stop()
        self.process.kill()
        self.process.wait()
        self.errors.seek(0)
        said = [line.strip() for line in self.errors if line.strip()]
        self.disagrees = self.process.returncode == DISAGREES
        self.failure = reason or (said[-1] if said else f"exit status {self.process.returncode}")
        print(f"  {self.name} is left out: {self.failure}", file=sys.stderr)
        print("".join(f"    {line}\n" for line in said[-15:]), end="", file=sys.stderr)

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.stdin.close()
            try:
                self.process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                self.process.kill()

    def seconds(self):
        return statistics.median(second for run in self.runs for second in run["seconds"])

    def memory(self):
        return max(run["peak_memory_bytes"] for run in self.runs)
