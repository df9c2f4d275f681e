"""Runs: the folders of job scripts, and how to find them."""

from __future__ import annotations

import itertools
import json
import re
import shlex
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mpiapps.base.errors import UsageError, os_errors
from mpiapps.batch import history, job_state, quoting
from mpiapps.batch.history import EVENTS, History
from mpiapps.batch.job_state import JobId, element
from mpiapps.batch.scheduler import TABLE, Scheduler

SCRIPT = "script.sh"
RENDERED = "# Rendered by mpiapps "
BEGIN = re.compile(r"^job_begin ((?:.*\\\n)*.*)$", re.MULTILINE)
ELEMENT = re.compile(r"(.+-(?:job)?\d+)_\d+")  # the folder of an array's element
TITLE = re.compile(r"^# (\S+): \d+ rank", re.MULTILINE)  # the job's name


@dataclass(frozen=True)
class Run:
    """One run: its folder and the text of its script."""

    folder: Path
    script: str

    @property
    def name(self) -> str:
        """The name of the run: ``pi-1``, or ``pi-job12`` without `mpiapps submit`."""
        return self.folder.name

    @cached_property
    def scheduler(self) -> Scheduler:
        """The scheduler of the script's directives."""
        for each in TABLE.values():
            if re.search(rf"^{re.escape(each.prefix)} ", self.script, re.MULTILINE):
                return each
        raise UsageError(f"{self.folder / SCRIPT} has no directives of any scheduler")

    @cached_property
    def indices(self) -> list[str]:
        """The indices of the array's elements; empty without an array."""
        found = re.search(self.scheduler.array, self.script, re.MULTILINE)
        return list(job_state.indices(found[1])) if found else []

    @cached_property
    def job_options(self) -> list[str]:
        """The options of `job_begin` in the script."""
        found = BEGIN.search(self.script)
        return shlex.split(found[1]) if found else []

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

    def part(self, index: str) -> Path:
        """Return the folder of an element."""
        return self.folder.with_name(element(self.name, index))

    def folders(self) -> dict[str, Path]:
        """Return the folders of the array's elements, or its own as ``""``."""
        return {index: self.part(index) for index in self.indices} or {"": self.folder}

    def histories(self) -> dict[str, History]:
        """Return the histories by element; without an array, by ``""``."""
        whole = history.read(self.folder)
        if not self.indices:
            return {"": history.history(whole)}
        parts = {index: history.read(self.part(index)) for index in self.indices}
        if not whole:  # submitted without `mpiapps`: the first to begin knows the job
            whole = sorted(itertools.chain(*parts.values()), key=lambda e: e.time)[:1]
        return {index: history.history(each, whole) for index, each in parts.items()}

    def ids(self) -> list[str]:
        """Return the numbers of all jobs of the run, the oldest first."""
        folders = dict.fromkeys([self.folder, *self.folders().values()])
        told = itertools.chain.from_iterable(map(history.read, folders))
        return list(dict.fromkeys(event.job.number for event in told))

    @property
    def job(self) -> JobId:
        """The last job of the run: the last submitted, or the last of a chain.

        For an array it is the array's; without events it has no number.
        """
        pasts = self.histories().values()
        return next((past.array or past.job for past in pasts), JobId(""))

    @property
    def id(self) -> str:
        """The number of the last job."""
        return self.job.number


def append_event(folder: Path, event: str, job: JobId) -> None:
    """Append an event to the events of a run."""
    line = {"event": event, "attempt": 0, "job": job.number, "code": 0}
    text = json.dumps(line | {"cluster": job.cluster, "time": int(time.time())})
    with os_errors(folder / EVENTS, "write"):
        folder.mkdir(mode=0o700, exist_ok=True)
        with (folder / EVENTS).open("a", encoding="utf-8") as stream:
            stream.write(text + "\n")


def find_run(logs: str, name: str) -> Run:
    """Return the run with this name, folder or job number in folder `logs`.

    Raises
    ------
    UsageError
        If there is none, or if several clusters gave the same number to a job.
    """
    found = all_runs(logs)
    named = [run for run in found if name in (run.name, str(run.folder))]
    named = named or [run for run in found if name in run.ids()]
    if len(named) > 1:
        raise UsageError(
            f"{', '.join(run.name for run in named)} all had job number {name}; name"
            " the run"
        )
    if not named:
        raise UsageError(
            f"no run {quoting.printable(name)} in {logs}; `mpiapps status` names them"
            " all, and --logs says where they are"
        )
    return named[0]


def all_runs(logs: str) -> list[Run]:
    """Return the runs in folder `logs`, the oldest first.

    Folders with a script that `mpiapps` has not rendered are ignored.
    """
    found: dict[Path, tuple[float, Run]] = {}  # an array's elements are one run
    with os_errors(logs, "read"):
        paths = sorted(Path(logs).glob(f"*-*/{SCRIPT}"))
    for path in paths:
        name = ELEMENT.fullmatch(path.parent.name)
        folder = path.parent.with_name(name[1]) if name else path.parent
        if folder in found and name:
            continue
        try:
            script, begun = path.read_text(encoding="utf-8"), path.stat().st_mtime
        except (OSError, UnicodeError):
            continue
        if RENDERED in script:
            found[folder] = (begun, Run(folder, script))
    return [run for _, run in sorted(found.values(), key=lambda pair: pair[0])]


def outputs(run: Run) -> list[Path]:
    """Return the output files of a run's jobs, the oldest first."""
    title = TITLE.search(run.script)
    name = re.escape(title[1] if title else "")
    numbers = "|".join(re.escape(re.split("[.[]", each)[0]) for each in run.ids())
    pattern = run.scheduler.output.replace("{name}", name)
    own = re.compile(pattern.replace("{number}", f"({numbers})"))
    # In its folder; beside it, if it was not submitted by `mpiapps`.
    plain = re.search(r"-job\d+$", run.name)
    with os_errors(run.folder.parent, "read"):
        paths = [*run.folder.glob("*"), *(run.folder.parent.iterdir() if plain else [])]
    found = [path for path in paths if own.fullmatch(path.name)]
    return sorted(found, key=lambda path: path.stat().st_mtime)
