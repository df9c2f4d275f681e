"""Runs: the directories of job scripts, and how to find them."""

from __future__ import annotations

import json
import re
import shlex
import time
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path

from mpiapps.base.errors import UsageError, os_errors
from mpiapps.batch import history, job_state, quoting
from mpiapps.batch.history import EVENTS, History
from mpiapps.batch.job_state import JobId, element
from mpiapps.batch.scheduler import Scheduler, schedulers

SCRIPT = "script.sh"
RENDERED = "# Rendered by mpiapps "
BEGIN = re.compile(r"^job_begin ((?:.*\\\n)*.*)$", re.MULTILINE)
ELEMENT = re.compile(r"(.+-(?:job)?\d+)_\d+")  # the directory of an array's element
TITLE = re.compile(r"^# (\S+): \d+ rank", re.MULTILINE)  # the job's name


@dataclass(frozen=True)
class Run:
    """One run: its directory and the text of its script."""

    directory: Path
    script: str

    @property
    def name(self) -> str:
        """The name of the run: ``pi-1``, or ``pi-job12`` without `mpiapps submit`."""
        return self.directory.name

    @cached_property
    def scheduler(self) -> Scheduler:
        """The scheduler of the script's directives."""
        for scheduler in schedulers():
            prefix = re.escape(scheduler.syntax.prefix)
            if re.search(rf"^{prefix} ", self.script, re.MULTILINE):
                return scheduler
        raise UsageError(
            f"{self.directory / SCRIPT} has no directives of any scheduler"
        )

    @cached_property
    def indices(self) -> list[str]:
        """The indices of the array's elements; empty without an array."""
        match = re.search(self.scheduler.array, self.script, re.MULTILINE)
        return list(job_state.indices(match[1])) if match else []

    @cached_property
    def job_options(self) -> list[str]:
        """The options of `job_begin` in the script."""
        match = BEGIN.search(self.script)
        return shlex.split(match[1]) if match else []

    @property
    def recorded(self) -> bool:
        """Whether the program writes a record."""
        return "--record" in self.job_options

    @property
    def parents(self) -> list[str]:
        """The names of the parent runs."""
        options = (option.partition("=") for option in self.job_options)
        return [Path(value).name for name, _, value in options if name == "--parent"]

    @property
    def parents_may_fail(self) -> bool:
        """Whether the parent runs may fail."""
        return "--parents-may-fail" in self.job_options

    def element_directory(self, index: str) -> Path:
        """Return the directory of an element."""
        return self.directory.with_name(element(self.name, index))

    def directories(self) -> dict[str, Path]:
        """Return the directories of the array's elements, or its own as ``""``."""
        return {index: self.element_directory(index) for index in self.indices} or {
            "": self.directory
        }

    def histories(self) -> dict[str, History]:
        """Return the histories by element; without an array, by ``""``."""
        events = history.read(self.directory)
        if not self.indices:
            return {"": history.history(events)}
        elements = {i: history.read(self.element_directory(i)) for i in self.indices}
        if not events:  # submitted without `mpiapps`: the first start has the job
            events = sorted(chain(*elements.values()), key=lambda e: e.time)[:1]
        return {i: history.history(own, events) for i, own in elements.items()}

    def ids(self) -> list[str]:
        """Return the numbers of all jobs of the run, the oldest first."""
        directories = dict.fromkeys([self.directory, *self.directories().values()])
        events = chain.from_iterable(map(history.read, directories))
        return list(dict.fromkeys(event.job.number for event in events))

    @property
    def job(self) -> JobId:
        """The last job of the run: the last submitted, or the last of a chain.

        For an array it is the array's; without events it has no number.
        """
        histories = self.histories().values()
        return next((past.array or past.job for past in histories), JobId(""))

    @property
    def id(self) -> str:
        """The number of the last job."""
        return self.job.number


def append_event(directory: Path, event: str, job: JobId) -> None:
    """Append an event to the events of a run."""
    line = {"event": event, "attempt": 0, "job": job.number, "code": 0}
    text = json.dumps(line | {"cluster": job.cluster, "time": int(time.time())})
    with os_errors(directory / EVENTS, "write"):
        directory.mkdir(mode=0o700, exist_ok=True)
        with (directory / EVENTS).open("a", encoding="utf-8") as stream:
            stream.write(text + "\n")


def find_run(logs: str, name: str) -> Run:
    """Return the run with this name, directory or job number in directory `logs`.

    Raises
    ------
    UsageError
        If there is none, or if several clusters gave the same number to a job.
    """
    runs = all_runs(logs)
    matches = [run for run in runs if name in (run.name, str(run.directory))]
    matches = matches or [run for run in runs if name in run.ids()]
    if len(matches) > 1:
        raise UsageError(
            f"{', '.join(run.name for run in matches)} all had job number {name}; give"
            " the name of the run"
        )
    if not matches:
        raise UsageError(
            f"no run {quoting.printable(name)} in {logs}; `mpiapps status` lists the"
            " runs, --logs selects their directory"
        )
    return matches[0]


def all_runs(logs: str) -> list[Run]:
    """Return the runs in directory `logs`, the oldest first.

    Directories with a script that `mpiapps` has not rendered are ignored.
    """
    runs: dict[Path, tuple[float, Run]] = {}  # the elements of an array are one run
    with os_errors(logs, "read"):
        paths = sorted(Path(logs).glob(f"*-*/{SCRIPT}"))
    for path in paths:
        name = ELEMENT.fullmatch(path.parent.name)
        directory = path.parent.with_name(name[1]) if name else path.parent
        if directory in runs and name:
            continue
        try:
            script, modified = path.read_text(encoding="utf-8"), path.stat().st_mtime
        except (OSError, UnicodeError):
            continue
        if RENDERED in script:
            runs[directory] = (modified, Run(directory, script))
    return [run for _, run in sorted(runs.values(), key=lambda pair: pair[0])]


def outputs(run: Run) -> list[Path]:
    """Return the output files of a run's jobs, the oldest first."""
    title = TITLE.search(run.script)
    name = re.escape(title[1] if title else "")
    numbers = "|".join(re.escape(re.split("[.[]", number)[0]) for number in run.ids())
    pattern = run.scheduler.output.replace("{name}", name)
    own = re.compile(pattern.replace("{number}", f"({numbers})"))
    with os_errors(run.directory.parent, "read"):
        paths = list(run.directory.glob("*"))
        if re.search(r"-job\d+$", run.name):  # not submitted by `mpiapps`
            paths += run.directory.parent.iterdir()
    outputs = [path for path in paths if own.fullmatch(path.name)]
    return sorted(outputs, key=lambda path: path.stat().st_mtime)
