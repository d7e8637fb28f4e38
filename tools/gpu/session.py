"""The parts of one call, each under a limit of time, and what is kept of them: logs, a report, an archive."""
import dataclasses
import json
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import tarfile
import time

KEPT_OF_A_FILE = 2 << 20  # bytes of a file in the archive: 16 MiB come back
RESERVE = 8  # seconds of a call for its report
TABLE_LINES = 40


class Failed(Exception):
    """Why a part has failed."""


class NotRun(Exception):
    """Why a part cannot run at all."""


@dataclasses.dataclass
class Outcome:
    """How a command ended: its exit status, or None where it was stopped at its limit."""

    code: int | None
    limit: float
    log: pathlib.Path

    def text(self):
        return self.log.read_text(encoding="utf-8", errors="replace")

    def reason(self):
        """Its last line, after what became of it."""
        said = [line.strip() for line in self.text().splitlines() if line.strip()]
        ending = f"stopped at its limit of {self.limit:.0f} s" if self.code is None else f"exit status {self.code}"
        return f"{ending}: {said[-1][:200]}" if said else ending

    def require(self):
        if self.code != 0:
            raise Failed(self.reason())


def stop(process):
    """Ends a process and all that it has started: asked first, so that it can write what it has."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, sign)
            process.wait(5)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            pass


class Session:
    """One call. `work` is kept between calls, `out` comes back to where the call came from."""

    def __init__(self, call, work, out, seconds, environment):
        self.call, self.work, self.out = call, pathlib.Path(work), pathlib.Path(out)
        self.begin, self.end = time.monotonic(), time.monotonic() + seconds
        self.environment = environment
        self.part, self.part_end = None, self.end
        self.results, self.kept = self.work / "results", self.work / "results" / "parts"
        for folder in (self.results, self.kept, self.out):
            folder.mkdir(parents=True, exist_ok=True)

    def left(self):
        """Seconds that the part may still take."""
        return max(self.part_end - time.monotonic(), 0)

    def file(self, name):
        """A file of the part that comes back."""
        return self.results / f"{self.call}-{self.part}-{name}"

    def run(self, command, limit=None, log="log", environment=None):
        """Runs a command under the part's limit and its own; what it prints goes into a file at once."""
        limit = min(self.left(), limit or self.left())
        path = self.file(log)
        with open(path, "ab") as output:
            output.write(f"$ {shlex.join(map(str, command))}\n".encode())
            output.flush()
            try:
                process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=output,
                                           stderr=subprocess.STDOUT, start_new_session=True,
                                           env={**self.environment, **(environment or {})})
            except OSError as error:
                output.write(f"{error}\n".encode())
                return Outcome(127, limit, path)
            try:
                code = process.wait(limit)
            except subprocess.TimeoutExpired:
                code = None
            except BaseException:
                stop(process)
                raise
            stop(process)
        return Outcome(code, limit, path)

    def start(self, command, done):
        """Starts a command that goes on after the call; its exit status goes into the file `done`."""
        done.unlink(missing_ok=True)
        script = f"{shlex.join(map(str, command))}; echo $? >{shlex.quote(str(done))}"
        with open(self.file("log"), "wb") as output:
            return subprocess.Popen(["sh", "-c", script], stdin=subprocess.DEVNULL, stdout=output,
                                    stderr=subprocess.STDOUT, start_new_session=True, env=self.environment)

    def do(self, name, function, limit):
        """Runs one part, whatever becomes of it, and writes that down. Whether it has not failed."""
        self.part = name
        begin = time.monotonic()
        self.part_end = min(begin + limit, self.end - RESERVE)
        for old in self.results.glob(f"{self.call}-{name}-*"):
            shutil.rmtree(old) if old.is_dir() else old.unlink()
        state, report = "passed", ""
        print(f"gpu_check: {name}, at most {max(self.left(), 0):.0f} s", flush=True)
        try:
            if self.left() < 2:
                raise NotRun("no time is left in this call")
            report = function(self) or ""
        except NotRun as reason:
            state = f"not run: {reason}"
        except Failed as reason:
            state = f"failed: {reason}"
        except Exception as error:  # pylint: disable=broad-except
            state = f"failed: {type(error).__name__}: {error}"
        notes = self.file("notes.md")
        if notes.exists():  # what it had found before it failed
            report = notes.read_text(encoding="utf-8") + report
        record = {"call": self.call, "part": name, "state": state, "seconds": time.monotonic() - begin,
                  "limit": limit, "report": report, "at": time.time()}
        (self.kept / f"{self.call}-{name}.json").write_text(json.dumps(record), encoding="utf-8")
        print(f"gpu_check: {name} {state}, {record['seconds']:.0f} s", flush=True)
        self.write()
        return not state.startswith("failed")

    def note(self, text):
        """Adds to the part's section of the report, also if the part is stopped or fails later."""
        with open(self.file("notes.md"), "a", encoding="utf-8") as notes:
            notes.write(text + "\n")

    def records(self):
        """Of all parts of all calls with the same folder, in order."""
        found = [json.loads(path.read_text(encoding="utf-8")) for path in self.kept.glob("*.json")]
        return sorted(found, key=lambda record: record["at"])

    def record(self, part):
        """The latest of a part, {} if there is none."""
        return ([{}] + [record for record in self.records() if record["part"] == part])[-1]

    def write(self):
        """The report, of which the last lines are the table, and the archive."""
        records = self.records()
        rows = [f"| {record['call']} | {record['part']} | {cell(record['state'])} | {record['seconds']:.0f} s | "
                f"{record['limit']:.0f} s |" for record in records][-(TABLE_LINES - 3):]
        self.table = ["| call | part | result | time | limit |", "| --- | --- | --- | ---: | ---: |", *rows]
        sections = [f"## {record['part']}\n\n{record['report'].strip()}\n" for record in records if record["report"]]
        text = "\n".join([f"# Fovea on a GPU, {time.strftime('%Y-%m-%d')}\n", *sections, *self.table, ""])
        (self.out / "report.md").write_text(text, encoding="utf-8")
        partial = self.out / "results.tar.gz.part"
        with tarfile.open(partial, "w:gz") as archive:
            archive.add(self.out / "report.md", "report.md")
            for path in sorted(self.results.rglob("*")):
                if path.is_file():
                    add_end(archive, path, f"results/{path.relative_to(self.results)}")
        partial.rename(self.out / "results.tar.gz")


def cell(text):
    """One cell of a table."""
    return " ".join(text.replace("|", "/").split())[:220]


def add_end(archive, path, name):
    """Adds a file, of a long one the end."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size  # a log may still grow
        kept = min(size, KEPT_OF_A_FILE)
        file.seek(size - kept)
        information = tarfile.TarInfo(name)
        information.size, information.mtime = kept, int(path.stat().st_mtime)
        archive.addfile(information, file)
