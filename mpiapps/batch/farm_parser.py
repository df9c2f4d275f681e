"""The command line of `mpiapps farm`; imports nothing that it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mpiapps.app.options import add_options, option
from mpiapps.batch.site import SCHEDULERS


@dataclass(frozen=True)
class FarmPlan:
    """Options of `mpiapps farm plan`."""

    task_time: int = option(0, "time per task (0: from the journal)", type="time")
    cores: int = option(32, "cores per host", min=1)
    max_time: int = option(4 * 3600, "time limit of a job", type="time", min=60)
    max_array: int = option(1000, "maximum size of a job array", min=1)
    scheduler: str = option(
        "", "print the job script of the best strategy", choices=("", *SCHEDULERS)
    )


def add_farm(commands: Any) -> None:
    """Add the command to the parser of `mpiapps`."""
    command = commands.add_parser(
        "farm", help="show a farm's status and results; plan its jobs"
    )
    command.add_argument(
        "what",
        choices=("status", "table", "verify", "plan"),
        help="status: counts and failures; table: a CSV row per task; verify: compare"
        " results with the journal; plan: jobs for a list of tasks",
    )
    command.add_argument(
        "directory",
        metavar="DIRECTORY",
        help="run directory, such as TASKS.farm; for plan, TASKS",
    )
    add_options(command.add_argument_group("for plan"), FarmPlan)
    command.add_argument("--json", action="store_true", help="print JSON")
