"""Runs: the folders that job scripts fill, and how they are found."""

from __future__ import annotations

import itertools
import json
import re
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mpiapps.base.errors import UsageError, naming
from mpiapps.batch import history, state, words
from mpiapps.batch.history import EVENTS, History
from mpiapps.batch.scheduler import TABLE, Scheduler
from mpiapps.batch.state import JobId, element

SCRIPT = "script.sh"
RENDERED = "# Rendered by mpiapps "
ELEMENT = re.compile(r"(.+-(?:job)?\d+)_\d+")  # the folder of an array's element
TITLE = re.compile(r"^# (\S+): \d+ rank", re.MULTILINE)  # the job's name


@dataclass(frozen=True)
class Run:
    """One run: its folder, and its script, a copy of which is in there."""

    folder: Path
    script: str

    @property
    def name(self) -> str:
        """The run's name: the job's with a number; with ``job12`` if sbatch had it."""
        return self.folder.name

    @cached_property
    def scheduler(self) -> Scheduler:
        """The one whose directives the script has."""
        for each in TABLE.values():
            if re.search(rf"^{re.escape(each.prefix)} ", self.script, re.MULTILINE):
                return each
        raise UsageError(f"{self.folder / SCRIPT} has no directives of any scheduler")

    @cached_property
    def indices(self) -> list[str]:
        """The indices of the array's elements; none if it is no array."""
        found = re.search(self.scheduler.array, self.script, re.MULTILINE)
        return list(state.indices(found[1])) if found else []

    @property
    def recorded(self) -> bool:
        """Whether its program writes a record of its end."""
        return "MPIAPPS_RECORD=" in self.script

    @property
    def parents(self) -> list[str]:
        """The names of the runs that it waits for."""
        found = re.search(r"^parents=\((.*)\)$", self.script, re.MULTILINE)
        return [Path(word).name for word in found[1].split()] if found else []

    @property
    def parents_may_fail(self) -> bool:
        """Whether those may have failed."""
        return "\nparents_may_fail=1\n" in self.script

    def part(self, index: str) -> Path:
        """Return the folder of an element. Local."""
        return self.folder.with_name(element(self.name, index))

    def folders(self) -> dict[str, Path]:
        """Return the folders of the array's elements, or its own as ``""``. Local."""
        return {index: self.part(index) for index in self.indices} or {"": self.folder}

    def histories(self) -> dict[str, History]:
        """Return what the events say, by element; of a run without any as ``""``."""
        whole = history.read(self.folder)
        if not self.indices:
            return {"": history.history(whole)}
        parts = {index: history.read(self.part(index)) for index in self.indices}
        if not whole:  # submitted without `mpiapps`: the first to begin knows the job
            whole = sorted(itertools.chain(*parts.values()), key=lambda e: e.time)[:1]
        return {index: history.history(each, whole) for index, each in parts.items()}

    def ids(self) -> list[str]:
        """Return the numbers of all its jobs, the oldest first. Local."""
        folders = dict.fromkeys([self.folder, *self.folders().values()])
        told = itertools.chain.from_iterable(map(history.read, folders))
        return list(dict.fromkeys(event.job.number for event in told))

    @property
    def job(self) -> JobId:
        """The job under which it was submitted last, or a chain has gone on.

        Of an array that is the array's; of a run without events it has no number.
        """
        pasts = self.histories().values()
        return next((past.array or past.job for past in pasts), JobId(""))

    @property
    def id(self) -> str:
        """The number of that job."""
        return self.job.number


def note(folder: Path, event: str, job: JobId) -> None:
    """Append an event to the run's own list. Local."""
    line = {"event": event, "attempt": 0, "job": job.number, "code": 0}
    text = json.dumps(line | {"cluster": job.cluster, "time": int(time.time())})
    with naming(folder / EVENTS, "write"):
        folder.mkdir(mode=0o700, exist_ok=True)
        with (folder / EVENTS).open("a", encoding="utf-8") as stream:
            stream.write(text + "\n")


def find(logs: str, name: str) -> Run:
    """Return the run with this name, folder or job number in folder `logs`. Local.

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
            f"no run {words.printable(name)} in {logs}; `mpiapps status` names them"
            " all, and --logs says where they are"
        )
    return named[0]


def all_runs(logs: str) -> list[Run]:
    """Return the runs in folder `logs`, the oldest first. Local.

    A folder whose script `mpiapps` has not rendered is somebody else's.
    """
    found: dict[Path, tuple[float, Run]] = {}  # an array's elements are one run
    with naming(logs, "read"):
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
    """Return the files that the scheduler has written of a run, the oldest first."""
    title = TITLE.search(run.script)
    name = re.escape(title[1] if title else "")
    numbers = "|".join(re.escape(re.split("[.[]", each)[0]) for each in run.ids())
    pattern = run.scheduler.output.replace("{name}", name)
    own = re.compile(pattern.replace("{number}", f"({numbers})"))
    # In its folder; beside it, if it was not submitted by `mpiapps`.
    plain = re.search(r"-job\d+$", run.name)
    with naming(run.folder.parent, "read"):
        paths = [*run.folder.glob("*"), *(run.folder.parent.iterdir() if plain else [])]
    found = [path for path in paths if own.fullmatch(path.name)]
    return sorted(found, key=lambda path: path.stat().st_mtime)
