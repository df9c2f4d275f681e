"""The interface of a scheduler, and the schedulers by name."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from mpiapps.base.errors import LaunchError, UsageError
from mpiapps.base.registry import load_extension
from mpiapps.base.streams import write_err
from mpiapps.batch.client import CommandError, run_command
from mpiapps.batch.job_state import Answers, JobId, Submission
from mpiapps.batch.launchers import LaunchCommand
from mpiapps.batch.options import Dialect
from mpiapps.batch.request import Job
from mpiapps.batch.rules import Rule
from mpiapps.batch.site import SCHEDULERS

LIBRARY = Path(__file__).parent / "library" / "job_library.sh"


class Scheduler(ABC):
    """A scheduler: one subclass, and one row of `mpiapps.batch.site.SCHEDULERS`.

    Another package adds one by an entry point of the group ``mpiapps.schedulers``.

    Attributes
    ----------
    name : str
        Name of the row or of the entry point.
    dialect : Dialect
        Its directives.
    library : Path
        File of its shell functions; ``library/job_library.sh`` describes them.
    detection_command : str
        A command that only this scheduler has: PBS and Grid Engine both have qsub.
    query_command : str
        The command that queries jobs.
    submit_directory : str
        Variable of a job with the folder that it was submitted from.
    array : str
        Pattern of the array directive; its group is the indices.
    output : str
        Pattern of the names of output files, with ``{name}`` and ``{number}``.
    check_command : tuple of str
        Command that checks a script without submitting it, if there is one.
    reads_stdin : bool
        Whether the submission command reads the script from its standard input.
    cancel_command : tuple of str
        Command that cancels jobs; their numbers follow.
    cluster_option : str
        Option of commands that selects another cluster, if there is one.
    launch_additions : mapping
        What a launcher needs under this scheduler in addition, by launcher and MPI.
    rules : tuple of Rule
        Rules of `mpiapps lint`.
    overrides : tuple of str
        Prefixes of variables that would override the directives of a script.
    needed : tuple of str
        Variables with such a prefix that its commands need.
    """

    dialect: ClassVar[Dialect]
    library: ClassVar[Path]
    detection_command: ClassVar[str]
    query_command: ClassVar[str]
    cancel_command: ClassVar[tuple[str, ...]]
    submit_directory: ClassVar[str]
    array: ClassVar[str]
    output: ClassVar[str]
    check_command: ClassVar[tuple[str, ...]] = ()
    reads_stdin: ClassVar[bool] = False
    cluster_option: ClassVar[str] = ""
    launch_additions: ClassVar[Mapping[tuple[str, str], LaunchCommand]] = {}
    rules: ClassVar[tuple[Rule, ...]] = ()
    overrides: ClassVar[tuple[str, ...]] = ()
    needed: ClassVar[tuple[str, ...]] = ()

    def __init__(self, name: str) -> None:
        """Give the scheduler the name of its row."""
        self.name = name

    @abstractmethod
    def directives(self, job: Job) -> list[str]:
        """Return the directive lines of a job, without the prefix.

        Raises
        ------
        UsageError
            If the scheduler cannot express the request.
        """

    @abstractmethod
    def submission(self, job: Submission) -> list[str]:
        """Return the command that submits a script; the script is the last word."""

    @abstractmethod
    def job_id(self, output: str) -> JobId | None:
        """Return the job from the output of the submission command."""

    @abstractmethod
    def job_statuses(self, numbers: Sequence[str], cluster: str, /) -> Answers:
        """Return the status of jobs, by number; of array elements by `element`.

        An empty `cluster` is the default one.

        Raises
        ------
        CommandError
            If the scheduler cannot be queried.
        """

    def cluster(self) -> str:
        """Return the default cluster of this host; empty if job numbers contain it."""
        return ""

    def cluster_words(self, cluster: str) -> list[str]:
        """Return the words of a command for another cluster; none for the default."""
        return [self.cluster_option, cluster] if cluster else []

    def site_settings(self) -> tuple[dict[str, Any], list[str]]:
        """Return settings of a `Site` from this login node, and those to set by hand.

        Raises
        ------
        CommandError
            If the scheduler does not answer.
        """
        return {}, [f"{self.name}: queries no settings; set them by hand"]

    def check_array(self, job: Job) -> None:
        """Raise `UsageError` if the array has more elements than the site allows."""
        limit, indices = job.site.max_array, job.request.indices()
        if limit and len(indices) > limit:
            raise array_limit_error(job, f"{limit} elements")

    def run(
        self, command: Sequence[str], accepted: str = "", stdin: Path | None = None
    ) -> str:
        """Return the output of a command: see `run_command`."""
        return run_command(command, self.environment(), accepted, stdin)

    def try_run(self, command: Sequence[str]) -> str:
        """Return the output of a command; empty if it is missing or fails."""
        try:
            return self.run(command)
        except CommandError:
            return ""

    def environment(self) -> dict[str, str]:
        """Return the environment without variables that override a job script."""
        prefixes = ("MPIAPPS_", *self.overrides)
        return {
            name: value
            for name, value in os.environ.items()
            if name in self.needed or not name.startswith(prefixes)
        }

    def shell_library(self) -> str:
        """Return the text of the shell library: the common part and its own."""
        paths = (LIBRARY, self.library)
        return "\n".join(path.read_text(encoding="utf-8") for path in paths)


def array_limit_error(job: Job, limit: str) -> UsageError:
    """Return the error of an array that the site does not allow."""
    return UsageError(
        f"--array {job.request.array} is over this site's limit of {limit}; split it,"
        " or give each element more work"
    )


@cache
def load_scheduler(name: str) -> Scheduler:
    """Return a scheduler by name."""
    scheduler: Scheduler = load_extension(name, SCHEDULERS[name])(name)
    return scheduler


@cache
def schedulers() -> tuple[Scheduler, ...]:
    """Return all schedulers; print a note on those that cannot be loaded."""
    loaded = []
    for name in SCHEDULERS:
        try:
            loaded.append(load_scheduler(name))
        except LaunchError as error:
            write_err(f"mpiapps: note: {error}\n")
    return tuple(loaded)


def dialects() -> dict[str, Dialect]:
    """Return the dialects of all schedulers."""
    return {scheduler.name: scheduler.dialect for scheduler in schedulers()}
