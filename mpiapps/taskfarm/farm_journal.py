"""The run directory of a farm: its journal, logs and lists of tasks."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mpiapps.base.errors import os_errors
from mpiapps.storage.journal import Journal, Record, scan
from mpiapps.taskfarm.job_log import JobLog
from mpiapps.taskfarm.task_process import STOPPED
from mpiapps.tasks.task_journal import OpenJournal, TaskJournal
from mpiapps.tasks.task_set import Unfinished

if TYPE_CHECKING:
    from mpiapps.comm.world import World

HEADER = {"program": "farm"}
JOURNAL_FILE, FAILED_FILE, LOGS = "journal", "failed.txt", "logs"
DIGESTS_FILE = "digests"  # identities of all tasks at the last start
# What the farm itself writes in the run directory or that of a part, with the lock.
OWN_FILES = (
    rf"(part-\d+/)?({JOURNAL_FILE}|{re.escape(FAILED_FILE)}|{DIGESTS_FILE}|{LOGS}(/.*)?"
    r"|owner(\.\d+)?)"
)
DONE: Record = {"code": 0}  # all that matters of a task that an earlier run has done


def journals_of(directory: Path) -> list[Path]:
    """Return the journals in a run directory: its own, and those of its parts."""
    parts = sorted(directory.glob(f"part-*/{JOURNAL_FILE}"))
    paths = [directory / JOURNAL_FILE, *parts]
    return [path for path in paths if path.exists()]


def exit_reason(record: Record) -> str:
    """Return why a task was terminated; older journals call it ``why``."""
    return str(record["reason"] if "reason" in record else record["why"])


class FarmJournal(TaskJournal):
    """A journal with a record per attempt, which the root writes.

    Parameters
    ----------
    directory : Path
        The run directory; created if it does not exist.
    part : str
        The part of the tasks to run, as for `part_of`.
    force_unlock : bool
    job_log : JobLog, optional
        Gets a line for each task that has ended.

    Attributes
    ----------
    attempts : dict of str to int
        Root only: the last attempt of each task that is not done, by identity.
    """

    def __init__(
        self,
        directory: Path,
        part: str,
        *,
        force_unlock: bool,
        job_log: JobLog | None = None,
    ) -> None:
        self.path = directory / f"part-{part.partition('/')[0]}" if part else directory
        super().__init__(str(self.path), force_unlock=force_unlock)
        self._directory, self._part, self._job_log = directory, part, job_log
        self.attempts: dict[str, int] = {}
        self._done: set[str] = set()

    def open(self, world: World) -> OpenJournal:
        """Return the open journal on the root, and one without records elsewhere.

        Collective; only the root reads and writes.

        Raises
        ------
        FileAccessError
            If the directory cannot be created or written.
        InputError
            If the journal is damaged or of another program.
        """
        if not world.is_root:
            return TaskJournal().open(world)
        path = self.path / JOURNAL_FILE
        self._logs = (self.path / LOGS).absolute()
        with os_errors(self.path, "make"):
            self._logs.mkdir(parents=True, exist_ok=True)
        self._file = Journal(path, HEADER, self._replay)
        try:  # after the own one: a task that failed here may be done there
            for other in journals_of(self._directory):
                if other != path:  # of another partition of the list
                    scan(other, self._replay_done)
        except BaseException:
            self._file.close()
            raise
        self.sync, self.sync_if_due = self._file.sync, self._file.sync_if_due
        return self

    def load(self) -> dict[str, str]:
        """Read the journals, without opening or locking them. Local.

        Returns
        -------
        dict of str to str
            The recorded output files, and the task that wrote each last.
        """
        outputs = dict[str, str]()

        def note(replay: Callable[[Record], None], record: Record) -> None:
            outputs.update(dict.fromkeys(record.get("outputs", ()), record.get("task")))
            replay(record)

        own = self.path / JOURNAL_FILE
        for path in sorted(journals_of(self._directory), key=lambda path: path != own):
            replay = self._replay if path == own else self._replay_done
            scan(path, partial(note, replay))
        return outputs

    def begin(self, identities: Sequence[str], tasks: int, pending: int) -> None:
        """Record the start of a run: the whole list, the tasks of this part.

        Raises
        ------
        FileAccessError
            If the journal or the job log cannot be written.
        """
        if self._job_log is not None:
            self._job_log.start(identities)
            self._log_done(self._job_log, set(identities) & self._done)
            self._job_log.publish()
        self.write(
            self._directory / DIGESTS_FILE, "".join(f"{i}\n" for i in identities)
        )
        start = {"at": time.time(), "tasks": tasks, "left": pending}
        self._file.add({"start": start | ({"part": self._part} if self._part else {})})

    def recorded(self) -> Mapping[str, Record]:
        """Return the tasks that are done."""
        return dict.fromkeys(self._done, DONE)

    def next_attempt(self, name: str) -> tuple[int, str]:
        """Return the number of the next attempt of a task, and its log."""
        number = self.attempts.get(name, 0) + 1
        return number, f"{self._logs}/{name}.{number}"

    def add(self, key: str, value: Any) -> None:
        """Append the record of an attempt; it is durable after `sync`."""
        del key  # the record has it
        record = value.record if isinstance(value, Unfinished) else value
        self._file.add(record)
        self._file.sync_if_due()
        self._replay(record)
        if self._job_log is not None and not isinstance(value, Unfinished):
            self._job_log.add(record)

    def skip_attempt(self, name: str) -> None:
        """Keep the log of an attempt whose record will never come."""
        self.attempts[name] = self.attempts.get(name, 0) + 1

    def write(self, path: Path, text: str) -> None:
        """Replace a file atomically; the temporary file is in the locked directory."""
        part = self.path / f".{path.name}.part"
        with os_errors(path, "write"):
            part.write_bytes(os.fsencode(text))
            part.replace(path)

    def __enter__(self) -> FarmJournal:
        """Return itself."""
        return self

    def __exit__(self, *exc: Any) -> None:
        """Close the journal and the job log."""
        self._file.__exit__(*exc)
        if self._job_log is not None:
            self._job_log.close()

    def _log_done(self, job_log: JobLog, names: set[str]) -> None:
        """Write the lines of the tasks that earlier runs have done, each once."""

        def log(record: Record) -> None:
            if record.get("code") == 0 and record["task"] in names:
                names.remove(record["task"])
                job_log.add({**record, "reason": exit_reason(record)})

        for path in journals_of(self._directory) if names else ():
            scan(path, log)

    def _replay(self, record: Record) -> None:
        """Apply a journal record; the last one of a task counts."""
        name = record.get("task")
        if name is None:
            return
        self.attempts[name] = record["attempt"]
        if record["code"] == 0:
            self._done.add(name)
            del self.attempts[name]
        elif exit_reason(record) != STOPPED:  # a stopped task has not failed
            self._done.discard(name)

    def _replay_done(self, record: Record) -> None:
        """Apply a record of another journal, if its task is done."""
        if record.get("code") == 0:
            self._done.add(record["task"])
