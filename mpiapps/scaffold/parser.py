"""The command line of `mpiapps new`; imports nothing that it runs."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from mpiapps.batch.site import SCHEDULERS


def add_new(commands: Any) -> None:
    """Add the command to the parser of `mpiapps`."""
    parser = commands.add_parser(
        "new",
        help="write a package with a program of your own",
        description="Write a package with one program, its tests on ranks, its job"
        " script and its continuous integration.",
    )
    parser.add_argument(
        "name", metavar="NAME", help="name of the package and of its program"
    )
    parser.add_argument(
        "--directory",
        default="",
        metavar="DIR",
        help="directory to make (default: NAME)",
    )
    parser.add_argument(
        "--scheduler",
        default="",
        choices=("", *SCHEDULERS),
        metavar="|".join(SCHEDULERS),
        help="scheduler of the job script (default: that of this host, or slurm)",
    )
    parser.add_argument(
        "--site", default="", metavar="NAME", help="site of the job script"
    )


def new(values: Namespace) -> int:
    """Write the package and print the next commands."""
    from mpiapps.scaffold import command

    return command.new(values)
