"""The interface of a scheduler, and the schedulers by name."""

from __future__ import annotations

import os
import re
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
from mpiapps.batch.lowering import LoweringTable, lower
from mpiapps.batch.options import DirectiveSyntax
from mpiapps.batch.request import Job
from mpiapps.batch.rule_types import Rule
from mpiapps.batch.site import SCHEDULERS

LIBRARY = Path(__file__).parent / "library" / "job_library.sh"


class Scheduler(ABC):
    """A scheduler: one subclass, and one row of `mpiapps.batch.site.SCHEDULERS`.

    Another package adds one by an entry point of the group ``mpiapps.schedulers``.

    Attributes
    ----------
    name : str
        Name of the row or of the entry point.
    syntax : DirectiveSyntax
        Its directives.
    lowerings : mapping
        Its directives for the scheduling options of a request, or why it has none.
    library : Path
        File of its shell functions; ``library/job_library.sh`` describes them.
    detection_command : str
        A command that only this scheduler has: PBS and Grid Engine both have qsub.
    query_command : str
        The command that queries jobs.
    submit_directory : str
        Variable of a job with the directory that it was submitted from.
    job_pattern : str
        Pattern of the output of a submission; its groups are ``number``, ``cluster``.
    array : str
        Pattern of the array directive; its group is the indices.
    one_range, counts_from_1 : bool
        Whether an array is one range with one step; whether its first index is 1.
    limits_index : bool
        Whether `Site.max_array` is above the highest index, not a number of elements.
    uneven_hosts : bool
        Whether `directives` handles hosts with different numbers of ranks.
    starts_mps : bool
        Whether `directives` has the service of ``--gpu-mps``, or the script starts it.
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
    lint_rules : tuple of Rule
        Rules of `mpiapps lint`.
    overrides : str
        Pattern of the start of variables that override the directives of a script.
    """

    syntax: ClassVar[DirectiveSyntax]
    lowerings: ClassVar[LoweringTable] = {}
    library: ClassVar[Path]
    detection_command: ClassVar[str]
    query_command: ClassVar[str]
    cancel_command: ClassVar[tuple[str, ...]]
    submit_directory: ClassVar[str]
    job_pattern: ClassVar[str]
    array: ClassVar[str]
    output: ClassVar[str]
    one_range: ClassVar[bool] = False
    counts_from_1: ClassVar[bool] = False
    limits_index: ClassVar[bool] = False
    uneven_hosts: ClassVar[bool] = False
    starts_mps: ClassVar[bool] = False
    check_command: ClassVar[tuple[str, ...]] = ()
    reads_stdin: ClassVar[bool] = False
    cluster_option: ClassVar[str] = ""
    launch_additions: ClassVar[Mapping[tuple[str, str], LaunchCommand]] = {}
    lint_rules: ClassVar[tuple[Rule, ...]] = ()
    overrides: ClassVar[str] = "(?!)"

    def __init__(self, name: str) -> None:
        """Give the scheduler the name of its row."""
        self.name = name

    @abstractmethod
    def directives(self, job: Job) -> list[str]:
        """Return the directive lines of a job, without the prefix.

        Raises `UsageError` if the scheduler cannot express the request.
        """

    def lowered(self, job: Job) -> list[str]:
        """Return the directives of `lowerings` for the options of a request."""
        return lower(job, self.lowerings, self.syntax.command)

    @abstractmethod
    def submission(self, job: Submission) -> list[str]:
        """Return the command that submits a script; the script is the last word."""

    def job_id(self, output: str) -> JobId | None:
        """Return the job from the output of the submission command."""
        match = re.search(self.job_pattern, output.strip(), re.MULTILINE)
        return JobId(**match.groupdict("")) if match else None

    @abstractmethod
    def job_statuses(self, numbers: Sequence[str], cluster: str, /) -> Answers:
        """Return the status of jobs, by number; of array elements by `element`.

        An empty `cluster` is the default one. Raises `CommandError` if the scheduler
        cannot be queried.
        """

    def cluster(self) -> str:
        """Return the default cluster of this host; empty if job numbers contain it."""
        return ""

    def cluster_words(self, cluster: str) -> list[str]:
        """Return the words of a command for another cluster; none for the default."""
        return [self.cluster_option, cluster] if cluster else []

    def site_settings(self) -> tuple[dict[str, Any], list[str]]:
        """Return settings of a `Site` from this login node, and those to set by hand.

        Raises `CommandError` if the scheduler cannot be queried.
        """
        return {}, [f"{self.name}: queries no settings; set them by hand"]

    def check_array(self, job: Job) -> None:
        """Raise `UsageError` if the scheduler or the site does not allow the array."""
        indices, limit = job.request.indices(), job.site.max_array
        size = indices[-1] + 1 if self.limits_index else len(indices)
        problems = {
            f"{self.name} counts from 1; start at 1 or more": (
                self.counts_from_1 and indices[0] < 1
            ),
            f"an array of {self.name} is one range with one step; submit a run for"
            " each such range": self.one_range and isinstance(indices, tuple),
            f"over this site's limit of {limit} elements; split it, or give each"
            " element more work": 0 < limit < size,
        }
        for problem, applies in problems.items():
            if applies:
                raise UsageError(f"--array {job.request.array}: {problem}")

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
        removed = re.compile(f"MPIAPPS_|{self.overrides}")
        return {k: v for k, v in os.environ.items() if not removed.match(k)}

    def shell_library(self) -> str:
        """Return the text of the shell library: the common part and its own."""
        paths = (LIBRARY, self.library)
        return "\n".join(path.read_text(encoding="utf-8") for path in paths)


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


def syntaxes() -> dict[str, DirectiveSyntax]:
    """Return the syntaxes of all schedulers."""
    return {scheduler.name: scheduler.syntax for scheduler in schedulers()}
