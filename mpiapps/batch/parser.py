"""The command line of the batch commands; imports nothing that they run."""

from __future__ import annotations

import argparse
from typing import Any

from mpiapps.app.options import add_options
from mpiapps.batch.request import Request
from mpiapps.batch.site import SCHEDULERS

EPILOG = "Options after -- are passed to the program."

# name -> help text
COMMANDS = {
    "render": "print a job script",
    "submit": "render a job script and submit it",
    "status": "show the status of runs",
    "wait": "wait for runs to end, and return their exit code",
    "cancel": "cancel runs",
    "logs": "print the output of runs",
    "resubmit": "submit runs again, to resume from their checkpoints",
    "explain": "explain each directive of a job script",
    "lint": "check a job script for known problems",
    "site": "site probe: print a site file for this cluster",
}


def add_commands(commands: Any) -> None:
    """Add the commands to the parser of `mpiapps`."""
    for name, text in COMMANDS.items():
        parser = commands.add_parser(
            name, help=text, description=f"{text[0].upper()}{text[1:]}."
        )
        parser.set_defaults(parser=parser)
        _arguments(name, parser)
        parser.add_argument("--json", action="store_true", help="print JSON")


def _arguments(name: str, parser: argparse.ArgumentParser) -> None:
    if name in ("render", "submit"):
        parser.epilog = EPILOG
        parser.add_argument(
            "program",
            metavar="PROGRAM",
            help="a program of `mpiapps list`, or script.py",
        )
        add_options(parser, Request)
    if name == "render":
        parser.add_argument(
            "--standalone",
            action="store_true",
            help="include the shell library: the script needs no file of mpiapps",
        )
    if name == "submit":
        parser.add_argument(
            "--dry-run",
            action="store_true",
            help="check and print the script; submit nothing",
        )
    if name in ("submit", "resubmit"):
        parser.add_argument(
            "--wait", action="store_true", help="wait for the end of the job"
        )
    if name in ("status", "wait", "cancel", "logs", "resubmit"):
        nargs = "*" if name == "status" else "+"
        parser.add_argument(
            "runs", nargs=nargs, metavar="RUN", help="a run's name or job number"
        )
        parser.add_argument("--logs", default="logs", help="directory of the runs")
    if name in ("explain", "lint"):
        parser.add_argument(
            "script", metavar="SCRIPT", help="a file, or - for standard input"
        )
    if name == "lint":
        parser.add_argument("--site", default="", help="site with the limits to check")
    if name == "site":
        parser.add_argument(
            "action", choices=("probe",), help="probe: query the scheduler of this host"
        )
        parser.add_argument(
            "--scheduler",
            default="",
            choices=("", *SCHEDULERS),
            metavar="|".join(SCHEDULERS),
            help="scheduler (default: that of this host)",
        )
