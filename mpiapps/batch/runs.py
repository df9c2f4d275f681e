"""Runs: the folders that job scripts fill, and what they and the scheduler tell."""

from __future__ import annotations

import json
import re
import tempfile
import time
from collections.abc import Sequence
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
    """One run: its folder, and the script in it."""

    folder: Path
    script: str

    @property
    def name(self) -> str:
        """The run's name: the job's, with the number of its first submission."""
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
        if not found:
            return []
        first, last, step = re.fullmatch(r"(\d+)-(\d+)(?::(\d+))?", found[1]).groups()  # type: ignore[union-attr] # the pattern holds just these
        return [str(i) for i in range(int(first), int(last) + 1, int(step or 1))]

    def ids(self) -> list[str]:
        """Return the numbers under which it was submitted, the last one last. Local."""
        told = [str(event["job"]) for event in events(self.folder)]
        return list(dict.fromkeys([self.folder.name.rpartition("-")[2], *told]))

    def status(self) -> Status:
        """Ask the scheduler, look at the folder, and tell. Local."""
        number = self.ids()[-1]
        seen = self.scheduler.seen([number])
        recorded = "MPIAPPS_RECORD=" in self.script
        if not self.indices:
            return status_of(self.folder, number, seen.get(number), recorded)
        links = {
            index: _link(self.folder.with_name(f"{self.name}_{index}"), number, index)
            for index in self.indices
        }
        seen |= self.scheduler.seen([one for one in links.values() if "_" not in one])
        elements = {
            index: status_of(
                self.folder.with_name(f"{self.name}_{index}"),
                link,
                seen.get(link, _whole(seen, number) if "_" in link else None),
                recorded,
            )
            for index, link in links.items()
        }
        return together(str(self.folder), number, elements)


def _link(folder: Path, number: str, index: str) -> str:
    """Return the number of an array's element: a chain gives it one of its own."""
    told = events(folder)
    last = str(told[-1]["job"]) if told else number
    return f"{number}_{index}" if last == number else last


def note(folder: Path, event: str, job: str) -> None:
    """Append an event to the run's own list. Local."""
    line = {"event": event, "attempt": 0, "job": job, "code": 0}
    text = json.dumps(line | {"time": int(time.time())})
    with (folder / EVENTS).open("a", encoding="utf-8") as stream:
        stream.write(text + "\n")


def find(logs: str, name: str) -> Run:
    """Return the run with this name, or with this job number. Local."""
    for run in all_runs(logs):
        if name in (run.name, str(run.folder)) or name in run.ids():
            return run
    raise UsageError(
        f"no run {words.printable(name)} in {logs}; `mpiapps status` names them all,"
        " and --logs says where they are"
    )


def all_runs(logs: str) -> list[Run]:
    """Return the runs in folder `logs`, the oldest first. Local."""
    found = sorted(
        (path for path in Path(logs).glob(f"*-*/{SCRIPT}")),
        key=lambda path: path.stat().st_mtime,
    )
    elements = re.compile(r".*-\d+_\d+")
    return [
        Run(path.parent, path.read_text(encoding="utf-8"))
        for path in found
        if not elements.fullmatch(path.parent.name) or not _base_of(path.parent)
    ]


def outputs(run: Run) -> list[Path]:
    """Return the files that the scheduler has written of a run, the oldest first."""
    name, _, number = run.name.rpartition("-")
    logs = run.folder.parent
    numbers = {number, *(re.split("[.[]", each)[0] for each in run.ids())}
    found = {
        path
        for each in numbers
        for pattern in (f"{name}[-.]{each}*.out", f"{name}.o{each}*", f"{each}*.OU")
        for path in logs.glob(pattern)
    }
    return sorted(found, key=lambda path: path.stat().st_mtime)


def submit(script: str, scheduler: Scheduler, name: str, logs: str) -> Run:
    """Submit a script, and make the folder of its run. Local."""
    folder = Path(logs)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".submit-", dir=folder) as place:
        path = Path(place) / SCRIPT
        path.write_text(script, encoding="utf-8")
        number = _hand_over(scheduler, path, [])
    run = Run(folder / f"{name}-{re.split('[.[]', number)[0]}", script)
    run.folder.mkdir(mode=0o700, exist_ok=True)
    (run.folder / SCRIPT).write_text(script, encoding="utf-8")
    note(run.folder, "submit", number)
    return run


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
    path = run.folder / SCRIPT
    path.write_text(run.script, encoding="utf-8")
    number = _hand_over(run.scheduler, path, [f"MPIAPPS_RUN={run.name}"])
    note(run.folder, "submit", number)
    return number


def cancel(run: Run) -> None:
    """End a run's job. Local."""
    number = run.ids()[-1]
    note(run.folder, "cancel", number)
    tell([*run.scheduler.cancel, number])


def _hand_over(scheduler: Scheduler, path: Path, variables: Sequence[str]) -> str:
    if scheduler.reads_stdin:
        answer = tell(scheduler.submission("", variables)[:-1], path)
    else:
        answer = tell(scheduler.submission(str(path), variables))
    number = scheduler.job_id(answer)
    if number is None:
        raise LaunchError(f"cannot find the job's number in {answer.strip()!r}")
    return number


def _base_of(folder: Path) -> bool:
    return folder.with_name(folder.name.rpartition("_")[0]).is_dir()


def _whole(seen: dict[str, Seen], number: str) -> Seen | None:
    """Return what holds for elements that the scheduler does not tell apart yet."""
    whole = seen.get(number)
    return whole if whole and whole.state in state.ACTIVE else None
