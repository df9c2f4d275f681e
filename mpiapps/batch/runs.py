"""Runs: the folders that job scripts fill, and what they and the scheduler tell."""

from __future__ import annotations

import itertools
import json
import re
import time
from dataclasses import dataclass
from pathlib import Path

from mpiapps.base.errors import LaunchError, UsageError
from mpiapps.batch import state, words
from mpiapps.batch.client import tell
from mpiapps.batch.judge import EVENTS, Status, events, status_of, together
from mpiapps.batch.scheduler import TABLE, Scheduler
from mpiapps.batch.state import Seen

SCRIPT = "script.sh"


@dataclass(frozen=True)
class Run:
    """One run: its folder, and its script, a copy of which is in there."""

    folder: Path
    script: str

    @property
    def name(self) -> str:
        """The run's name: the job's with a number; ``pi-job12`` if sbatch had it."""
        return self.folder.name

    @property
    def scheduler(self) -> Scheduler:
        """The one whose directives the script has."""
        for each in TABLE.values():
            if re.search(rf"^{re.escape(each.prefix)} ", self.script, re.MULTILINE):
                return each
        raise UsageError(f"{self.folder / SCRIPT} has no directives of any scheduler")

    @property
    def indices(self) -> list[str]:
        """The indices of the array's elements; none if it is no array."""
        found = re.search(self.scheduler.array, self.script, re.MULTILINE)
        return [str(i) for i in words.span(found[1])] if found else []

    def ids(self) -> list[str]:
        """Return the numbers under which it was submitted, the last one last. Local."""
        told = events(self.folder)
        if not told:  # an array that was submitted without `mpiapps submit`
            told = [e for i in self.indices for e in events(self._element(i))]
        return list(dict.fromkeys(str(event["job"]) for event in told))

    def _element(self, index: str) -> Path:
        return self.folder.with_name(f"{self.name}_{index}")

    def links(self) -> dict[str, str]:
        """Return the numbers of the array's elements by index. Local.

        ``12_3`` is an element of job 12; one that stopped and went on by a chain has a
        number of its own.
        """
        links = {}
        for index in self.indices:
            told = events(self._element(index))
            last = str(told[-1]["job"]) if told else self.id
            links[index] = f"{self.id}_{index}" if last == self.id else last
        return links

    @property
    def id(self) -> str:
        """The number under which it was submitted last; empty if nothing tells."""
        return (self.ids() or [""])[-1]

    def status(self) -> Status:
        """Ask the scheduler, look at the folder, and tell. Local."""
        number = self.id
        seen = self.scheduler.seen([number] if number else [])
        recorded = "MPIAPPS_RECORD=" in self.script
        if not self.indices:
            return status_of(self.folder, number, seen.get(number), recorded)
        links = self.links()
        seen |= self.scheduler.seen([one for one in links.values() if "_" not in one])
        elements = {
            index: status_of(
                self._element(index),
                link,
                seen.get(link, _whole(seen, number) if "_" in link else None),
                recorded,
            )
            for index, link in links.items()
        }
        return together(str(self.folder), number, elements)


def note(folder: Path, event: str, job: str) -> None:
    """Append an event to the run's own list. Local."""
    line = {"event": event, "attempt": 0, "job": job, "code": 0}
    text = json.dumps(line | {"time": int(time.time())})
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
    """Return the runs in folder `logs`, the oldest first. Local."""
    found: dict[Path, Path] = {}  # folder -> script; an array's elements are one run
    for path in Path(logs).glob(f"*-*/{SCRIPT}"):
        element = re.fullmatch(r"(.*-(?:job)?\d+)_\d+", path.parent.name)
        folder = path.parent.with_name(element[1]) if element else path.parent
        found[folder] = found.get(folder, path) if element else path
    oldest = sorted(found, key=lambda folder: found[folder].stat().st_mtime)
    return [Run(each, found[each].read_text(encoding="utf-8")) for each in oldest]


def outputs(run: Run) -> list[Path]:
    """Return the files that the scheduler has written of a run, the oldest first."""
    name = re.escape(re.sub(r"-(job)?\d+$", "", run.name))
    numbers = "|".join(re.escape(re.split("[.[]", each)[0]) for each in run.ids())
    pattern = run.scheduler.output.replace("{name}", name)
    mine = re.compile(pattern.replace("{number}", f"({numbers})"))
    found = [path for path in run.folder.parent.iterdir() if mine.fullmatch(path.name)]
    return sorted(found, key=lambda path: path.stat().st_mtime)


def submit(script: str, name: str, logs: str) -> Run:
    """Submit a script, whose run gets a folder of its own first. Local.

    The folder's number is not the job's: a cluster that is set up anew, or another one
    that shares the home folders, gives the same numbers again.
    """
    run = Run(_new_folder(Path(logs), name), script)
    try:
        _hand_over(run)
    except LaunchError:
        (run.folder / SCRIPT).unlink()
        run.folder.rmdir()
        raise
    return run


def _new_folder(logs: Path, name: str) -> Path:
    logs.mkdir(parents=True, exist_ok=True)
    for number in itertools.count(1):
        folder = logs / f"{name}-{number}"
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            continue
        return folder
    raise AssertionError("counting has no end")


def resubmit(run: Run) -> str:
    """Submit a run again, to go on from what it saved; return its number. Local.

    Raises
    ------
    UsageError
        If it is still under way, or done.
    """
    status = run.status()
    if status.state in (*state.ACTIVE, state.DONE):
        raise UsageError(f"{run.name} is {status.state}; there is nothing to resubmit")
    return _hand_over(run)


def cancel(run: Run) -> None:
    """End a run's job, and those that elements of an array go on as. Local."""
    numbers = [run.id, *(n for n in run.links().values() if "_" not in n)]
    note(run.folder, "cancel", run.id)
    tell([*run.scheduler.cancel, *numbers])


def _hand_over(run: Run) -> str:
    """Submit the script from the run's folder; return the job's number."""
    path, scheduler = run.folder / SCRIPT, run.scheduler
    run.folder.mkdir(mode=0o700, exist_ok=True)
    path.write_text(run.script, encoding="utf-8")
    variables = [f"MPIAPPS_RUN={run.name}"]
    if scheduler.reads_stdin:
        answer = tell(scheduler.submission("", variables)[:-1], path)
    else:
        answer = tell(scheduler.submission(str(path), variables))
    number = scheduler.job_id(answer)
    if number is None:
        raise LaunchError(f"cannot find the job's number in {answer.strip()!r}")
    note(run.folder, "submit", number)
    return number


def _whole(seen: dict[str, Seen], number: str) -> Seen | None:
    """Return what holds for elements that the scheduler does not tell apart yet."""
    whole = seen.get(number)
    return whole if whole and whole.state in state.ACTIVE else None
