"""`make bench-farm`, commands: lists of 10^3 to 10^6 lines, against GNU parallel.

Two ranks run two tasks at a time, and so do the peers. Of each list: seconds from the
start of the program to the first task, ms per task, memory of the root, the same when
all but the last tasks are in the journal, and seconds of `mpiapps farm status`. Long
lists are stopped after some seconds. Files are in memory, except in the cells of the
journal and of uneven tasks. Floors: 10^6 lines start in 10 s, resume in 20 s, and take
1 GiB of the root. Peers: GNU parallel, HyperShell.
"""

from __future__ import annotations

import json
import math
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import IO

from measure import Cell, Figures, Timer, limit, parser, replace, start, sweep, timings

from mpiapps.launch.mpiexec import command_line, find_launcher
from mpiapps.storage.journal import Journal
from mpiapps.taskfarm.farm_journal import DIGESTS_FILE, HEADER
from mpiapps.taskfarm.task_list import by_identity, read_file

HERE = Path(__file__).parent
HYPERSHELL = HERE.parent / ".bench/shell/bin/hsx"
FARM = str(HERE / "farm_peer.py")
MEMORY = "/dev/shm"  # excludes the disk
RANKS, SLOTS = 2, 4  # SLOTS: of uneven tasks
LENGTHS = {"10^3": 10**3, "10^4": 10**4, "10^5": 10**5, "10^6": 10**6}
LEFT = 500  # tasks that a resumed list still has
MAX_START, MAX_RESUME, MAX_MIB = 10, 20, 1024  # s, s, MiB
PARALLEL_FLOOR, JOURNAL_FLOOR = 3, 0.9
SLEEP_TASKS, MEAN_SLEEP, MAX_MAKESPAN = 2000, 0.1, 1.05
DONE = {"at": 1e9, "attempt": 1, "code": 0, "cpu": 1e-3, "host": "host", "log": 0,
        "memory": 10**7, "reason": "", "seconds": 1e-3}  # fmt: skip
RUN_SECONDS, MOST_SECONDS = 3, 90  # after the first task, and until it
END_SECONDS = 30  # after SIGTERM
POLL_SECONDS = 0.01


def farm_timer(tasks: Path, ranks: int, journal: str = "on") -> Timer:
    """Return a function that measures the farm: the seconds of its tasks."""
    argv = [FARM, journal, str(tasks), "--progress", "off"]

    def measure() -> float:
        with tempfile.TemporaryDirectory(dir=tasks.parent) as directory:
            return timings(ranks, *argv, "--directory", directory)["tasks"]

    return measure


def descendants(pid: int) -> Iterator[int]:
    """Yield a process and its descendants: ranks of MPICH are grandchildren."""
    yield pid
    with suppress(OSError):  # it has ended
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            for child in children.read_text().split():
                yield from descendants(int(child))


def peak_kib(pid: int) -> int:
    """Return the largest resident memory of a process so far; 0 if it has ended."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1])
    return 0


def complete_lines(text: str) -> list[str]:
    """Return the lines that end in a line feed: a program that is stopped cuts one."""
    return text.split("\n")[:-1]


def ms_per_task(ends: list[float]) -> float:
    """Return the mean time between the ends of tasks."""
    return 1e3 * (max(ends) - min(ends)) / max(1, len(ends) - 1) if ends else math.nan


@dataclass(frozen=True)
class List:
    """A list of tasks in a directory, of which some are done.

    The first task that is not done writes the time to a file.
    """

    directory: Path
    tasks: int
    done: int

    @property
    def path(self) -> Path:
        """Return the file of the list."""
        return self.directory / f"list-{self.tasks}-{self.done}"

    @property
    def stamp(self) -> Path:
        """Return the file of the time."""
        return self.directory / "stamp"

    @cached_property
    def commands(self) -> list[str]:
        """Return the commands."""
        lines = [f"true {n}" for n in range(self.tasks)]
        lines[self.done] = f"date +%s.%N >{self.stamp}"
        return lines

    def write(self) -> None:
        """Write the list, and the journals of the tasks that are done."""
        if self.path.exists():
            return
        text = "".join(f"{line}\n" for line in self.commands)
        replace(self.path, partial(self._write, text=text))

    def _write(self, path: Path, text: str) -> None:
        """Write the journals, then the list: where it exists, all do."""
        path.write_text(text)
        if not self.done:
            return
        identities = list(by_identity(read_file(str(path))))
        directory = self.path.with_suffix(".farm")
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        (directory / DIGESTS_FILE).write_text("\n".join(identities) + "\n")
        with Journal(directory / "journal", HEADER) as journal:
            journal.add({"start": {"at": 1e9, "tasks": self.tasks, "left": self.tasks}})
            for n, name in enumerate(identities[: self.done]):
                journal.add(DONE | {"task": name, "command": self.commands[n]})
        columns = "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal"
        with self.path.with_suffix(".joblog").open("w") as log:
            log.write(f"{columns}\tCommand\n")
            for n, command in enumerate(self.commands[: self.done], 1):
                log.write(f"{n}\t:\t1000000000.000\t0.001\t0\t0\t0\t0\t{command}\n")

    def _run(
        self, command: list[str], environ: Mapping[str, str], stdin: IO[str] | int
    ) -> dict[str, float]:
        """Run until some seconds after the first task; return its time, and memory.

        The memory is that of the largest of the process and its descendants. A program
        that fails has no time.
        """
        self.stamp.unlink(missing_ok=True)
        begin, peak, stopped = time.time(), 0, False
        with subprocess.Popen(
            command, env=os.environ | environ, stdin=stdin,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        ) as process:  # fmt: skip
            while process.poll() is None and not stopped:
                peak = max(peak, *map(peak_kib, descendants(process.pid)))
                stopped = self._is_over(begin)
                time.sleep(POLL_SECONDS)
            if stopped:
                process.terminate()
                try:
                    process.wait(END_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()
        first = self.stamp.read_text() if self.stamp.exists() else ""
        if not first or (process.returncode and not stopped):
            first = "NaN"
        return {"first": float(first) - begin, "MiB": peak / 2**10}

    def _is_over(self, begin: float) -> bool:
        """Return whether the first task ended some seconds ago, or does not end."""
        with suppress(FileNotFoundError):
            return time.time() - self.stamp.stat().st_mtime > RUN_SECONDS
        return time.time() - begin > MOST_SECONDS

    def farm(self) -> dict[str, float]:
        """Run the farm; return s to the first task, ms per task, MiB."""
        with tempfile.TemporaryDirectory(dir=self.directory) as temporary:
            directory = Path(temporary, "run")
            if self.done:
                shutil.copytree(self.path.with_suffix(".farm"), directory)
            words = [FARM, "on", str(self.path), "--directory", str(directory)]
            command, environ = command_line(find_launcher(), RANKS, words)
            figures = self._run(command, environ, subprocess.DEVNULL)
            journal = directory / "journal"
            lines = complete_lines(journal.read_text() if journal.exists() else "")
            lines = lines[2 + self.done :]
        records = [json.loads(line.rpartition(" ")[0]) for line in lines]
        ends = [record["at"] for record in records if "task" in record]
        return figures | {"ms per task": ms_per_task(ends)}

    def parallel(self) -> dict[str, float]:
        """Run GNU parallel; return the same."""
        log = self.directory / "joblog"
        if self.done:
            shutil.copy(self.path.with_suffix(".joblog"), log)
        words = ["parallel", f"-j{RANKS}", "--joblog", str(log)]
        words += ["--tmpdir", str(self.directory), *(["--resume"] if self.done else [])]
        with self.path.open() as stdin:
            figures = self._run(words, {}, stdin)
        lines = complete_lines(log.read_text() if log.exists() else "")[1 + self.done :]
        log.unlink(missing_ok=True)
        rows = [line.split("\t") for line in lines]
        ends = [float(row[2]) + float(row[3]) for row in rows if len(row) > 3]
        return figures | {"ms per task": ms_per_task(ends)}

    def status(self) -> float:
        """Return the seconds of `mpiapps farm status`."""
        directory = str(self.path.with_suffix(".farm"))
        return start(0, "-m", "mpiapps", "farm", "status", directory)[0]


def hypershell(tasks: Path) -> float:
    """Return the ms per task of HyperShell: a run of the list minus one of a task."""

    def wall(path: Path) -> float:
        argv = [str(HYPERSHELL), str(path), f"-N{RANKS}", "--no-db"]
        begin = time.perf_counter()
        with tempfile.TemporaryDirectory(dir=tasks.parent) as directory:
            done = subprocess.run(argv, cwd=directory, capture_output=True, check=False)
        return math.nan if done.returncode else time.perf_counter() - begin

    one = tasks.with_name("one")
    one.write_text("true\n")
    count = tasks.read_text().count("\n")
    return 1e3 * (wall(tasks) - wall(one)) / (count - 1)


def lists(directory: Path) -> Iterator[Cell]:
    """Yield the cells of long lists."""
    for name, length in LENGTHS.items():
        for title, done in (("", 0), (f", all but {LEFT} done", length - LEFT)):
            tasks = List(directory, length, done)
            farm, peer = Figures(tasks.farm), Figures(tasks.parallel)
            longest = MAX_RESUME if done else MAX_START
            bounds = {
                "first": ("s", longest, 0),
                "MiB": ("MiB", MAX_MIB, 0),
                "ms per task": ("ms", 0, 0 if done else PARALLEL_FLOOR),
            }
            for key, (unit, most, floor) in bounds.items():
                peers = {"parallel": (peer.timer(key), float(floor))}
                if most:
                    peers[f"{most} {unit}"] = limit(most), 1.0
                elif length == 10**3 and not done and HYPERSHELL.exists():
                    peers["HyperShell"] = partial(hypershell, tasks.path), 3.0
                what = {"first": "first task, s", "MiB": "root, MiB"}.get(key, key)
                yield Cell(f"{name} lines{title}: {what}", farm.timer(key), peers,
                           tasks.write)  # fmt: skip
            if done:
                yield Cell(f"{name} lines{title}: status, s", tasks.status,
                           {f"{MAX_RESUME} s": (limit(MAX_RESUME), 1.0)},
                           tasks.write)  # fmt: skip


def durations() -> Sequence[float]:
    """Return lognormal times of tasks, in s."""
    rng = random.Random(1)
    times = [rng.lognormvariate(0, 1) for _ in range(SLEEP_TASKS)]
    scale = MEAN_SLEEP * SLEEP_TASKS / sum(times)
    return [seconds * scale for seconds in times]


def on_disk(directory: Path) -> Iterator[Cell]:
    """Yield the cells of the journal and of uneven tasks."""
    many, sleeps, times = directory / "many", directory / "sleeps", durations()
    text = "".join(f"sleep {seconds:.6f}\n" for seconds in times)
    yield Cell("2,000 of true, journal on disk, s", farm_timer(many, RANKS),
               {"no journal": (farm_timer(many, RANKS, "off"), JOURNAL_FLOOR)},
               partial(many.write_text, "true\n" * 2000))  # fmt: skip
    least = max(*times, sum(times) / SLOTS)
    yield Cell(f"{SLEEP_TASKS} lognormal tasks, {SLOTS} at a time, s",
               farm_timer(sleeps, SLOTS),
               {"max(longest, sum/4)": (limit(least), 1 / MAX_MAKESPAN)},
               partial(sleeps.write_text, text))  # fmt: skip


def main() -> int:
    """Measure, print, write JSON; return 1 if a floor is missed."""
    options = parser(__doc__).parse_args()
    with (
        tempfile.TemporaryDirectory() as disk,
        tempfile.TemporaryDirectory(dir=MEMORY) as memory,
    ):
        directory = Path(options.scratch or memory)
        with suppress(FileExistsError):
            directory.mkdir(parents=True)
        return sweep([*lists(directory), *on_disk(Path(disk))], options)


if __name__ == "__main__":
    sys.exit(main())
